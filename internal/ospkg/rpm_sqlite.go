package ospkg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const sqliteMagic = "SQLite format 3\x00"

// Pages of a table's b-tree, and how deep one can be: SQLite's own limit.
const (
	tableInterior  = 5
	tableLeaf      = 13
	maxSqliteDepth = 20
)

// sqlite reads tables of a database (sqlite.org/fileformat2.html), which is all that rpm's needs: the write-ahead log,
// which a database that was closed properly has not, is not read.
type sqlite struct {
	r        io.ReaderAt
	size     int64
	pageSize int64
	usable   int64 // bytes of a page without what it reserves
	left     int64 // pages that may still be read: no walk reads one twice
}

func readSqlite(r io.ReaderAt, size int64, yield func([]byte) error) error {
	head := make([]byte, 100)
	if err := readAt(r, head, 0); err != nil {
		return err
	}
	db := &sqlite{r: r, size: size, pageSize: int64(binary.BigEndian.Uint16(head[16:]))}
	if db.pageSize == 1 {
		db.pageSize = 65536
	}
	if db.pageSize < 512 || db.pageSize&(db.pageSize-1) != 0 {
		return fmt.Errorf("pages of %d bytes", db.pageSize)
	}
	db.usable = db.pageSize - int64(head[20])
	if db.usable < 480 {
		return fmt.Errorf("pages have %d bytes of use only", db.usable)
	}
	var root int64
	err := db.table(1, func(row []column) error {
		if len(row) >= 4 && string(row[0].bytes) == "table" && string(row[1].bytes) == "Packages" {
			root = row[3].number
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the table of tables: %w", err)
	}
	if root == 0 {
		return errors.New("there is no table Packages")
	}
	err = db.table(root, func(row []column) error {
		if len(row) != 2 {
			return fmt.Errorf("a row has %d columns instead of 2", len(row))
		}
		return yield(row[1].bytes)
	})
	if err != nil {
		return fmt.Errorf("the table Packages: %w", err)
	}
	return nil
}

// page reads page n, the first being 1.
func (db *sqlite) page(n int64) ([]byte, error) {
	if n < 1 || n > db.size/db.pageSize {
		return nil, fmt.Errorf("page %d of %d", n, db.size/db.pageSize)
	}
	if db.left--; db.left < 0 {
		return nil, errors.New("pages lead in a circle")
	}
	p := make([]byte, db.pageSize)
	if err := readAt(db.r, p, (n-1)*db.pageSize); err != nil {
		return nil, err
	}
	return p[:db.usable], nil
}

// table gives the rows of the table whose tree begins at a page.
func (db *sqlite) table(root int64, yield func([]column) error) error {
	db.left = db.size / db.pageSize
	return db.walk(root, 0, yield)
}

func (db *sqlite) walk(number int64, depth int, yield func([]column) error) error {
	if depth > maxSqliteDepth {
		return errors.New("the tree is too deep")
	}
	p, err := db.page(number)
	if err != nil {
		return err
	}
	head := p
	if number == 1 {
		head = p[100:]
	}
	kind, cells := head[0], int(binary.BigEndian.Uint16(head[3:]))
	headSize := 8
	if kind == tableInterior {
		headSize = 12
	} else if kind != tableLeaf {
		return fmt.Errorf("page %d has the type %d and is of no table", number, kind)
	}
	if headSize+2*cells > len(head) {
		return fmt.Errorf("page %d cannot have %d cells", number, cells)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(head[headSize+2*i:]))
		if at+4 > len(p) {
			return fmt.Errorf("page %d: cell %d is outside", number, i)
		}
		if kind == tableInterior {
			err = db.walk(int64(binary.BigEndian.Uint32(p[at:])), depth+1, yield)
		} else {
			err = db.leaf(p[at:], yield)
		}
		if err != nil {
			return fmt.Errorf("page %d: cell %d: %w", number, i, err)
		}
	}
	if kind == tableInterior {
		return db.walk(int64(binary.BigEndian.Uint32(head[8:])), depth+1, yield)
	}
	return nil
}

// leaf reads a cell with a row.
func (db *sqlite) leaf(cell []byte, yield func([]column) error) error {
	length, n := varint(cell)
	_, m := varint(cell[n:]) // the row's number
	if n == 0 || m == 0 {
		return errors.New("cut off")
	}
	size := clampInt(length)
	if size > db.size {
		return fmt.Errorf("a row of %d bytes is larger than the database", size)
	}
	payload, err := db.payload(cell[n+m:], size)
	if err != nil {
		return err
	}
	row, err := record(payload)
	if err != nil {
		return err
	}
	return yield(row)
}

// payload puts together what a cell has of a row and what its overflow pages have.
func (db *sqlite) payload(cell []byte, size int64) ([]byte, error) {
	local := size
	if most := db.usable - 35; size > most {
		least := (db.usable-12)*32/255 - 23
		if local = least + (size-least)%(db.usable-4); local > most {
			local = least
		}
	}
	if local > int64(len(cell)) {
		return nil, errors.New("cut off")
	}
	payload := append(make([]byte, 0, size), cell[:local]...)
	rest := cell[local:]
	for int64(len(payload)) < size {
		if len(rest) < 4 {
			return nil, errors.New("cut off")
		}
		p, err := db.page(int64(binary.BigEndian.Uint32(rest)))
		if err != nil {
			return nil, err
		}
		rest = p[:4]
		payload = append(payload, p[4:min(int64(len(p)), 4+size-int64(len(payload)))]...)
	}
	return payload, nil
}

// column is a value of a row: a number, or bytes.
type column struct {
	number int64
	bytes  []byte
}

// record takes a row apart.
func record(payload []byte) (row []column, err error) {
	headSize, n := varint(payload)
	if n == 0 || headSize < uint64(n) || headSize > uint64(len(payload)) {
		return nil, errors.New("a row's head is cut off")
	}
	head, body := payload[n:headSize], payload[headSize:]
	for len(head) > 0 {
		kind, n := varint(head)
		if n == 0 {
			return nil, errors.New("a row's head is cut off")
		}
		head = head[n:]
		var c column
		size := int64(0)
		switch {
		case kind >= 12:
			size = clampInt((kind - 12) / 2)
		case kind == 9:
			c.number = 1
		case kind >= 1 && kind <= 7:
			size = []int64{0, 1, 2, 3, 4, 6, 8, 8}[kind]
		}
		if size > int64(len(body)) {
			return nil, errors.New("a row is cut off")
		}
		if kind >= 12 {
			c.bytes = body[:size]
		} else if size > 0 {
			c.number = number(body[:size])
		}
		body = body[size:]
		row = append(row, c)
	}
	return row, nil
}

// number is a big-endian number with a sign.
func number(b []byte) int64 {
	n := int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n
}

// varint reads a number of up to nine bytes, seven bits each and of the last all eight; n is how many, 0 for none.
func varint(b []byte) (value uint64, n int) {
	for i, c := range b {
		if i == 8 {
			return value<<8 | uint64(c), 9
		}
		value = value<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return value, i + 1
		}
	}
	return 0, 0
}
