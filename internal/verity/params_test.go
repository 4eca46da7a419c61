package verity

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/verity/layout"
)

// line is the JSON of good.
var (
	good = Params{
		Algorithm: "sha256", DataBlockSize: 4096, HashBlockSize: 4096, DataBlocks: 3, HashOffset: 12288,
		RootHash: layout.Hash{0: 0xab}, Salt: layout.Hash{31: 0xcd},
	}
	line = `{"algorithm":"sha256","data_block_size":4096,"hash_block_size":4096,"data_blocks":3,"hash_offset":12288,` +
		`"root_hash":"ab` + strings.Repeat("0", 62) + `","salt":"` + strings.Repeat("0", 62) + `cd"}` + "\n"
)

func TestJSON(t *testing.T) {
	if got := string(good.JSON()); got != line {
		t.Errorf("got %swant %s", got, line)
	}
	if got, err := Parse([]byte(line)); got != good || err != nil {
		t.Errorf("Parse gave %+v, %v", got, err)
	}
	largest := Params{Algorithm: algorithm, DataBlockSize: 4096, HashBlockSize: 4096, DataBlocks: maxBlocks, HashOffset: maxBlocks * 4096}
	if got, err := Parse(largest.JSON()); got != largest || err != nil || len(largest.JSON()) > MaxJSON {
		t.Errorf("the largest: %+v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{line, "", "cut off after 0 bytes"},
		{`cd"}`, `cd"`, "cut off after"},
		{line, "hsqs", "not the parameters of dm-verity: invalid character 'h'"},
		{line, "[]", "not the parameters of dm-verity: json: cannot unmarshal array"},
		{`"salt"`, `"salty"`, `not the parameters of dm-verity: json: unknown field "salty"`},
		{`"sha256"`, `"sha512"`, `algorithm "sha512" is not "sha256"`},
		{`"data_block_size":4096`, `"data_block_size":512`, "data_block_size 512 is not 4096"},
		{`"hash_block_size":4096`, `"hash_block_size":1024`, "hash_block_size 1024 is not 4096"},
		{`"data_blocks":3`, `"data_blocks":0`, "data_blocks 0 is not in 1 to"},
		{`"data_blocks":3`, `"data_blocks":1099511627777`, "data_blocks 1099511627777 is not in 1 to"},
		{`"data_blocks":3`, `"data_blocks":"3"`, "cannot unmarshal string"},
		{`12288`, `12287`, "hash_offset 12287 is not where 3 data blocks end, 12288"},
		{`"ab00`, `"AB00`, "is not 64 lower-case hex digits"},
		{`"ab00`, `"ab0`, "is not 64 lower-case hex digits"},
		{"}\n", "}", "not in the form that Fledge writes, which is " + line[:len(line)-1]},
		{"}\n", "}\n\n", "not in the form that Fledge writes"},
		{"}\n", "}{}\n", "not in the form that Fledge writes"},
		{`"data_blocks":3`, `"data_blocks": 3`, "not in the form that Fledge writes"},
		{`"data_blocks":3`, `"data_blocks":4,"data_blocks":3`, "not in the form that Fledge writes"},
		{`,"salt":"` + good.Salt.String() + `"`, "", "not in the form that Fledge writes"},
	} {
		changed := strings.Replace(line, tt.old, tt.new, 1)
		if changed == line {
			t.Errorf("%s is not in the line", tt.old)
		}
		if p, err := Parse([]byte(changed)); err == nil || p != (Params{}) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q gave %+v, error %v, want %q", changed, p, err, tt.want)
		}
	}
}

// FuzzParse holds that what is taken is what JSON writes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(line))
	f.Add([]byte(strings.Replace(line, "3", "9", 1)))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err == nil && !bytes.Equal(p.JSON(), b) || err == nil && p.HashOffset%layout.BlockSize != 0 {
			t.Errorf("took %q as %+v", b, p)
		}
	})
}
