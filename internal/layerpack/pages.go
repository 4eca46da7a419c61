package layerpack

// pages is a list that grows without being copied, so that its peak is its size.
type pages[T any] struct {
	list [][]T
	n    int
}

const pageLength = 1024

func (p *pages[T]) push(v T) {
	if p.n%pageLength == 0 {
		p.list = append(p.list, make([]T, 0, pageLength))
	}
	last := len(p.list) - 1
	p.list[last] = append(p.list[last], v)
	p.n++
}

func (p *pages[T]) at(i int) *T { return &p.list[i/pageLength][i%pageLength] }

// truncate shortens the list to n.
func (p *pages[T]) truncate(n int) {
	keep := (n + pageLength - 1) / pageLength
	clear(p.list[keep:])
	p.list = p.list[:keep]
	if n%pageLength != 0 {
		p.list[keep-1] = p.list[keep-1][:n%pageLength]
	}
	p.n = n
}

// all calls yield for each element until it returns false.
func (p *pages[T]) all(yield func(T) bool) {
	for _, page := range p.list {
		for _, v := range page {
			if !yield(v) {
				return
			}
		}
	}
}
