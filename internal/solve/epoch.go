package solve

import (
	"fmt"
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
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%s=%s: it is a number of seconds since 1970", epochArg, value)
	}
	job.Epoch = n
	return nil
}
