package ospkg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Of Berkeley DB's src/dbinc/db_page.h: kinds of pages, and of items in them.
const (
	hashMagic = 0x061561

	pageHashUnsorted = 2
	pageOverflow     = 7
	pageHash         = 13

	itemData    = 1
	itemOffPage = 3

	pageHead = 26
)

// berkeley reads a hash of Berkeley DB, whose numbers are in the byte order of the machine that wrote it.
type berkeley struct {
	r        io.ReaderAt
	order    binary.ByteOrder
	pageSize int64
	pages    int64
	left     int64 // overflow pages that may still be read: each belongs to one value
}

// readBerkeley reads the values of all pages of a hash: how keys are spread over its pages does not matter for that.
func readBerkeley(r io.ReaderAt, size int64, yield func([]byte) error) error {
	meta := make([]byte, 72)
	if err := readAt(r, meta, 0); err != nil {
		return err
	}
	db := &berkeley{r: r, order: binary.LittleEndian}
	if binary.BigEndian.Uint32(meta[12:]) == hashMagic {
		db.order = binary.BigEndian
	} else if binary.LittleEndian.Uint32(meta[12:]) != hashMagic {
		return errors.New("neither SQLite, rpm's ndb nor a hash of Berkeley DB")
	}
	if meta[24] != 0 {
		return errors.New("the database is encrypted")
	}
	db.pageSize = int64(db.order.Uint32(meta[20:]))
	if db.pageSize < 512 || db.pageSize > 65536 || db.pageSize&(db.pageSize-1) != 0 {
		return fmt.Errorf("pages of %d bytes", db.pageSize)
	}
	db.pages = int64(db.order.Uint32(meta[32:])) + 1
	if db.pages > size/db.pageSize {
		return fmt.Errorf("cut off: %d pages of %d bytes are not all there", db.pages, db.pageSize)
	}
	db.left = db.pages
	page := make([]byte, db.pageSize)
	for n := int64(1); n < db.pages; n++ {
		if err := readAt(r, page, n*db.pageSize); err != nil {
			return err
		}
		if kind := page[25]; kind != pageHash && kind != pageHashUnsorted {
			continue
		}
		if err := db.values(page, yield); err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
	}
	return nil
}

// values gives the values of a page of a hash. Its items are keys and values in turn, and lie from its end on down.
func (db *berkeley) values(page []byte, yield func([]byte) error) error {
	items := int(db.order.Uint16(page[20:]))
	if pageHead+2*items > len(page) || items%2 != 0 {
		return fmt.Errorf("%d items", items)
	}
	end := len(page)
	var key []byte
	for i := range items {
		at := int(db.order.Uint16(page[pageHead+2*i:]))
		if at < pageHead+2*items || at >= end {
			return fmt.Errorf("item %d is outside", i)
		}
		item := page[at:end]
		end = at
		if i%2 == 0 {
			key = item[1:]
			continue
		}
		if len(key) == 4 && db.order.Uint32(key) == 0 {
			continue // the number that the next package gets
		}
		value, err := db.value(item)
		if err == nil {
			err = yield(value)
		}
		if err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

// value is that of an item, in its page or in a chain of overflow pages.
func (db *berkeley) value(item []byte) ([]byte, error) {
	switch {
	case item[0] == itemData:
		return append([]byte(nil), item[1:]...), nil
	case item[0] != itemOffPage || len(item) < 12:
		return nil, fmt.Errorf("%d bytes of the type %d", len(item), item[0])
	}
	number, length := int64(db.order.Uint32(item[4:])), int64(db.order.Uint32(item[8:]))
	if length > db.pages*db.pageSize {
		return nil, fmt.Errorf("%d bytes are more than the database has", length)
	}
	value := make([]byte, 0, length)
	page := make([]byte, db.pageSize)
	for int64(len(value)) < length {
		if number < 1 || number >= db.pages {
			return nil, fmt.Errorf("page %d of %d", number, db.pages)
		}
		if db.left--; db.left < 0 {
			return nil, errors.New("overflow pages lead in a circle")
		}
		if err := readAt(db.r, page, number*db.pageSize); err != nil {
			return nil, err
		}
		used := int64(db.order.Uint16(page[22:]))
		if page[25] != pageOverflow || used == 0 || pageHead+used > db.pageSize || used > length-int64(len(value)) {
			return nil, fmt.Errorf("page %d is no overflow page of the value", number)
		}
		value = append(value, page[pageHead:pageHead+used]...)
		number = int64(db.order.Uint32(page[16:]))
	}
	return value, nil
}
