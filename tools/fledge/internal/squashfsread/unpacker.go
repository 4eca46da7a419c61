package squashfsread

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// unpacker unpacks data blocks on all processors, to see whether they can be. It is told of them in some order, and its
// error is that of the first of them that is damaged.
type unpacker struct {
	r       *Reader
	jobs    chan unpackJob
	workers sync.WaitGroup
	given   int
	failed  atomic.Bool

	mu    sync.Mutex
	err   error
	place int // of the block with err in the order
}

// unpackJob is a block that has to hold from least to most bytes.
type unpackJob struct {
	place       int
	block       dataBlock
	least, most uint64
	wrap        func(error) error // adds to an error whose block it is
}

func (r *Reader) newUnpacker() (*unpacker, error) {
	u := &unpacker{r: r, jobs: make(chan unpackJob)}
	for range runtime.GOMAXPROCS(0) {
		decoder, err := newDecoder(r.super.compressor)
		if err != nil {
			u.wait()
			return nil, err
		}
		u.workers.Go(func() {
			buf := blockBuffers{decoder: decoder}
			for job := range u.jobs {
				if err := u.unpack(job, &buf); err != nil {
					u.fail(job, err)
				}
			}
		})
	}
	return u, nil
}

func (u *unpacker) unpack(job unpackJob, buf *blockBuffers) error {
	data, err := u.r.readData(job.block, int(job.most), buf)
	if n := uint64(len(data)); err == nil && n < job.least {
		err = fmt.Errorf("data block at byte %d: %d bytes of %d", job.block.at, n, job.least)
	}
	return err
}

func (u *unpacker) fail(job unpackJob, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil || job.place < u.place {
		u.err, u.place = job.wrap(err), job.place
	}
	u.failed.Store(true)
}

// give has a block unpacked. It gives errStop when an earlier one was damaged.
func (u *unpacker) give(job unpackJob) error {
	if u.failed.Load() {
		return errStop
	}
	u.given++
	job.place = u.given
	u.jobs <- job
	return nil
}

// wait ends the work and gives the error.
func (u *unpacker) wait() error {
	close(u.jobs)
	u.workers.Wait()
	return u.err
}
