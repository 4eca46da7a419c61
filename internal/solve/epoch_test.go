package solve

import (
	"maps"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

func TestTakeEpoch(t *testing.T) {
	for value, want := range map[string]int64{"0": 0, "1700000000": 1700000000, "4294967295": 4294967295} {
		job := wire.Job{BuildArgs: map[string]string{epochArg: value, "A": "1"}}
		if err := TakeEpoch(&job); err != nil || job.Epoch != want || !maps.Equal(job.BuildArgs, map[string]string{"A": "1"}) {
			t.Errorf("%s: %+v, %v", value, job, err)
		}
	}
	for _, value := range []string{"", "now", "-1", "1.5", "4294967296", "99999999999999999999"} { // images end in 2106
		err := TakeEpoch(&wire.Job{BuildArgs: map[string]string{epochArg: value}})
		if err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH="+value+": it is a number of seconds since 1970") {
			t.Errorf("%q: error %v", value, err)
		}
	}
	if err := TakeEpoch(&wire.Job{}); err != nil {
		t.Error(err)
	}
}
