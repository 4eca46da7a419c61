package solve

import (
	"fmt"
	"math"
	"strconv"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// epochArg is the build argument that says the time of new files, as everywhere (reproducible-builds.org).
const epochArg = "SOURCE_DATE_EPOCH"

// TakeEpoch takes the time of new files from the build arguments of a job.
func TakeEpoch(job *wire.Job) error {
	value, ok := job.BuildArgs[epochArg]
	if !ok {
		return nil
	}
	delete(job.BuildArgs, epochArg)
	n, err := strconv.ParseUint(value, 10, 32) // as far as the times of images go
	if err != nil {
		return fmt.Errorf("%s=%s: it is a number of seconds since 1970, up to %d in 2106", epochArg, value, uint32(math.MaxUint32))
	}
	job.Epoch = int64(n)
	return nil
}
