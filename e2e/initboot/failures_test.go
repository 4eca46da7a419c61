package initboot

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// failure is an archive whose program cannot be started.
type failure struct {
	name, exec string
	tree       tree
	want       string // the init's line after "exec PATH: "
}

func (k *kit) failures(t *testing.T) []failure {
	const (
		noEntry = "no such file or directory; "
		access  = "permission denied; "
		format  = "exec format error; it is no program for this machine: "
	)
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[guest]
	return []failure{
		{
			"no agent", agent, nil,
			noEntry + "the image has no agent: give the rule one, or map a program to /bin/kestrel",
		},
		{
			"no init", "/sbin/start", tree{dir("sbin", 0o755)},
			noEntry + "the image has no such file: correct the rule's init",
		},
		{
			"dangling link", "/start", tree{link("start", "bin/start")},
			noEntry + "it is a link that leads nowhere",
		},
		{
			"not executable", agent, tree{dir("bin", 0o755), file("bin/kestrel", 0o640, string(k.report))},
			access + "it is not an executable file: its mode is 0640",
		},
		{
			"directory", "/bin", tree{dir("bin", 0o755)},
			access + "it is not an executable file: it is a directory",
		},
		{
			"other architecture", agent, tree{dir("bin", 0o755), file("bin/kestrel", 0o755, string(build(t, "./tools/init", other)))},
			format + "it is built for " + other,
		},
		{
			"script without #!", "/start", tree{file("start", 0o755, "echo started\n")},
			format + "it is neither an ELF program nor a script with #! and an interpreter in its first line",
		},
		{
			"no loader", "/start", tree{file("start", 0o755, dynamic(k.report, "/lib64/ld-none.so.2"))},
			noEntry + "it is there, but the interpreter /lib64/ld-none.so.2 that it names is not: " + addInterpreter,
		},
		{
			"script with CR LF", "/start", tree{file("start", 0o755, "#!/init\r\necho started\r\n")},
			noEntry + `it is there, but the interpreter /init\x0d that it names is not: ` + addInterpreter,
		},
	}
}

const addInterpreter = "add that to the image, or use a static program"

// dynamic makes a program of 64 bits ask for a loader: its note, which nothing needs, becomes the header that names one.
func dynamic(program []byte, loader string) string {
	const (
		headersAt, countAt, headerSize = 32, 56, 56 // elf(5)
		interp, note                   = 3, 4
	)
	program = bytes.Clone(program)
	le := binary.LittleEndian
	header := program[le.Uint64(program[headersAt:]):]
	for range le.Uint16(program[countAt:]) {
		if le.Uint32(header) == note {
			size := uint64(len(loader) + 1)
			le.PutUint32(header, interp)
			le.PutUint64(header[8:], uint64(len(program)))
			le.PutUint64(header[32:], size)
			le.PutUint64(header[40:], size)
			return string(program) + loader + "\x00"
		}
		header = header[headerSize:]
	}
	panic("the program has no note")
}
