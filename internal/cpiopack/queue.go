package cpiopack

import "sync"

// Job is a piece of output in the making. Run works on any goroutine and with one of the encoders; Done gets the results
// one by one, in the order of the jobs.
type Job struct {
	Run  func(e *Encoder) error // may be nil, as Done
	Done func() error
	// InTurn has Run wait until the jobs before are done: it writes straight to where Done of others does.
	InTurn bool
}

// Queue runs jobs on several goroutines, and their Done on one, in the order in which they were added. The first error
// ends it: later jobs are dropped.
type Queue struct {
	work  chan *queued
	order chan *queued
	end   chan struct{}

	mu  sync.Mutex
	err error
}

type queued struct {
	Job
	turn    chan struct{} // closed when all before are done
	ready   chan error
	drained chan struct{} // of a job of Drain
}

// NewQueue starts a queue with an encoder for each goroutine. Close must be called.
func NewQueue(encoders []*Encoder) *Queue {
	// Jobs that wait keep the encoders busy while a slow one holds up the order. One encoder alone needs no more than the
	// job in Add.
	n := 2 * len(encoders)
	q := &Queue{work: make(chan *queued, n-2), order: make(chan *queued, n), end: make(chan struct{})}
	for _, e := range encoders {
		go func() {
			for j := range q.work {
				if j.InTurn {
					<-j.turn
				}
				var err error
				if j.Run != nil && q.Err() == nil {
					err = j.Run(e)
				}
				j.ready <- err
			}
		}()
	}
	go func() {
		defer close(q.end)
		for j := range q.order {
			if j.drained != nil {
				close(j.drained)
				continue
			}
			close(j.turn)
			err := <-j.ready
			if err == nil && j.Done != nil && q.Err() == nil {
				err = j.Done()
			}
			q.fail(err)
		}
	}()
	return q
}

// Add adds a job; it waits while many are ahead.
func (q *Queue) Add(j Job) {
	item := &queued{Job: j, turn: make(chan struct{}), ready: make(chan error, 1)}
	q.order <- item
	q.work <- item
}

// Drain waits for the jobs so far and returns the first error.
func (q *Queue) Drain() error {
	done := make(chan struct{})
	q.order <- &queued{drained: done}
	<-done
	return q.Err()
}

// Err is the first error so far.
func (q *Queue) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

func (q *Queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
}

// Close waits for all jobs and returns the first error. Nothing may be added afterwards.
func (q *Queue) Close() error {
	close(q.work)
	close(q.order)
	<-q.end
	return q.Err()
}
