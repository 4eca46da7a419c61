package ospkg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// header makes a header of strings, and of the epoch when it has one.
func header(epoch uint32, values map[uint32]string) []byte {
	var index, data []byte
	tags := make([]uint32, 0, len(values))
	for tag := range values {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	entry := func(tag, kind uint32) {
		for _, n := range []uint32{tag, kind, uint32(len(data)), 1} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
	}
	if epoch > 0 {
		entry(tagEpoch, typeInt32)
		data = binary.BigEndian.AppendUint32(data, epoch)
	}
	for _, tag := range tags {
		entry(tag, typeString)
		data = append(append(data, values[tag]...), 0)
	}
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(index)/16))
	blob = binary.BigEndian.AppendUint32(blob, uint32(len(data)))
	return append(append(blob, index...), data...)
}

// someHeaders are of two packages and a key.
func someHeaders() [][]byte {
	return [][]byte{
		header(0, map[uint32]string{tagName: "gpg-pubkey", tagVersion: "1", tagRelease: "1"}),
		header(1, map[uint32]string{tagName: "bash", tagVersion: "5.1", tagRelease: "2.fc35", tagArch: "x86_64", tagVendor: "V",
			tagLicense: "GPLv3+", tagSourceRPM: "bash-5.1-2.fc35.src.rpm", tagPackager: "P"}),
		header(0, map[uint32]string{tagName: "big", tagVersion: "1", tagRelease: "1", 9999: strings.Repeat("x", 20000)}),
	}
}

var somePackages = []Package{
	{Type: RPM, Name: "bash", Version: "5.1-2.fc35", Epoch: "1", Arch: "x86_64", Vendor: "V", License: "GPLv3+",
		Source: "bash-5.1-2.fc35.src.rpm", Maintainer: "P"},
	{Type: RPM, Name: "big", Version: "1-1"},
}

// ndb makes a Packages.db: rpm's lib/backend/ndb/rpmpkg.c. Debian's rpm cannot.
func ndb(blobs [][]byte) []byte {
	le := binary.LittleEndian
	db := make([]byte, 4096)
	copy(db, ndbMagic)
	le.PutUint32(db[12:], 1) // pages of slots
	for at := 32; at < 4096; at += 16 {
		copy(db[at:], "Slot")
	}
	for i, blob := range blobs {
		slot := db[32+16*i:]
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32(len(db)/16))
		head := make([]byte, 16, 32+len(blob))
		copy(head, "BlbS")
		le.PutUint32(head[4:], uint32(i+1))
		le.PutUint32(head[12:], uint32(len(blob)))
		db = append(db, append(head, blob...)...)
		db = append(db, make([]byte, 16-len(db)%16)...)
	}
	return db
}

func readRPM(db []byte) ([]Package, error) {
	return ReadRPM(bytes.NewReader(db), int64(len(db)))
}

func TestReadNdb(t *testing.T) {
	got, err := readRPM(ndb(someHeaders()))
	if diff := cmp.Diff(somePackages, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// specFile has as many packages as a small distribution, some with headers that take several pages.
func specFile() string {
	var spec strings.Builder
	spec.WriteString("Name: demo\nVersion: 1.0\nRelease: 1\nEpoch: 7\nSummary: x\nLicense: MIT and (GPLv2+ or \"Artistic\")\n" +
		"Vendor: Demo Vendor\nPackager: Demo <demo@example.com>\nBuildArch: noarch\n%description\nx\n%files\n")
	for i := range 120 {
		fmt.Fprintf(&spec, "%%package -n part%d\nVersion: %d.2\nSummary: x\n", i, i)
		fmt.Fprintf(&spec, "%%description -n part%d\n%s\n%%files -n part%d\n", i, strings.Repeat("lorem ipsum\n", i*i/2), i)
	}
	return spec.String()
}

const queryFormat = `%{NAME}|%{EPOCH}|%{VERSION}-%{RELEASE}|%{ARCH}|%{LICENSE}|%{VENDOR}|%{PACKAGER}|%{SOURCERPM}\n`

// query is what rpm says of a database.
func query(t *testing.T, dir, backend string) []string {
	t.Helper()
	out := imagetest.Run(t, "rpm", "--dbpath", dir, "--define", "_db_backend "+backend, "-qa", "--qf", queryFormat)
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(out), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "warning: could not open") // indexes, which rpm can do without
	})
	slices.Sort(lines)
	return lines
}

// compare reads a database and tells where it differs from what rpm says.
func compare(t *testing.T, path string, want []string) {
	t.Helper()
	db, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := readRPM(db)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range packages {
		fields := []string{p.Name, p.Epoch, p.Version, p.Arch, p.License, p.Vendor, p.Maintainer, p.Source}
		for i, f := range fields {
			if f == "" {
				fields[i] = "(none)"
			}
		}
		got = append(got, strings.Join(fields, "|"))
	}
	slices.Sort(got)
	if len(got) != 121 {
		t.Errorf("%s: %d packages", path, len(got))
	}
	imagetest.Compare(t, path, want, got)
}

// TestReadRealRPM has rpm make a database, as SQLite, and Berkeley DB one of the same headers, which rpm reads too.
func TestReadRealRPM(t *testing.T) {
	imagetest.Need(t, "rpm", "rpmbuild", "db5.3_load")
	dir := t.TempDir()
	spec := filepath.Join(dir, "demo.spec")
	if err := os.WriteFile(spec, []byte(specFile()), 0o644); err != nil {
		t.Fatal(err)
	}
	imagetest.Run(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "_tmppath "+dir, spec)
	built, err := filepath.Glob(filepath.Join(dir, "RPMS/noarch/*.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	sqliteDir := filepath.Join(dir, "sqlite")
	install := []string{"--dbpath", sqliteDir, "--define", "_db_backend sqlite", "--define", "_tmppath " + dir, "-i", "--justdb", "--nodeps", "--nosignature"}
	imagetest.Run(t, "rpm", append(install, built...)...)
	want := query(t, sqliteDir, "sqlite")
	compare(t, filepath.Join(sqliteDir, "rpmdb.sqlite"), want)

	for _, order := range []string{"1234", "4321"} {
		berkeleyDir := filepath.Join(dir, "berkeley"+order)
		if err := os.Mkdir(berkeleyDir, 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(berkeleyDir, "Packages")
		loadBerkeley(t, filepath.Join(sqliteDir, "rpmdb.sqlite"), path, order)
		compare(t, path, want)
		if order == "1234" {
			imagetest.Compare(t, "rpm on "+path, want, query(t, berkeleyDir, "bdb_ro"))
		}
	}
}

// loadBerkeley has Berkeley DB make a hash of the headers in a database.
func loadBerkeley(t *testing.T, from, to, order string) {
	t.Helper()
	db, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	dump := strings.Builder{}
	dump.WriteString("VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n 00000000\n 79000000\n")
	n := 0
	err = readSqlite(bytes.NewReader(db), int64(len(db)), func(blob []byte) error {
		n++
		fmt.Fprintf(&dump, " %02x%02x0000\n %x\n", n%256, n/256, blob)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dump.WriteString("DATA=END\n")
	path := to + ".dump"
	if err := os.WriteFile(path, []byte(dump.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	imagetest.Run(t, "db5.3_load", "-c", "db_lorder="+order, "-f", path, to)
}

func TestReadRPMErrors(t *testing.T) {
	good := ndb(someHeaders())
	changed := func(at int, b ...byte) []byte {
		return slices.Replace(slices.Clone(good), at, at+len(b), b...)
	}
	sqliteHead := append([]byte(sqliteMagic), make([]byte, 4080)...)
	berkeleyHead := make([]byte, 4096)
	binary.LittleEndian.PutUint32(berkeleyHead[12:], hashMagic)
	for name, c := range map[string]struct {
		db   []byte
		want string
	}{
		"empty":                {nil, "cut off: 16 bytes at 0"},
		"text":                 {bytes.Repeat([]byte("no database "), 20), "neither SQLite, rpm's ndb nor a hash of Berkeley DB"},
		"ndb cut off":          {good[:len(good)-1000], "cut off"},
		"ndb slots beyond":     {changed(12, 255, 255, 255, 255), "pages of slots are more than there are"},
		"ndb slot is none":     {changed(32, 'X'), "the slot at byte 32 is none"},
		"ndb blob is none":     {changed(4096, 'X'), "the blob at byte 4096 is none"},
		"ndb blob too large":   {changed(4096+12, 255, 255, 255, 127), "the blob at byte 4096 is none"},
		"ndb blob twice":       {changed(32+8, good[32+32+8]), "the headers are larger than the database"},
		"header lies":          {changed(4112, 127), "header 0: 2130706435 entries"},
		"sqlite without pages": {sqliteHead, "pages of 0 bytes"},
		"berkeley sizes":       {berkeleyHead, "pages of 0 bytes"},
	} {
		if name == "ndb blob twice" {
			c.db = ndb([][]byte{someHeaders()[2]})
			for i := range 20 { // more than one blob's worth in slots that name the same
				copy(c.db[48+16*i:], c.db[32:48])
			}
		}
		if _, err := readRPM(c.db); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadRPM(bytes.NewReader(nil), MaxDatabase+1); err == nil || !strings.Contains(err.Error(), "are more than") {
		t.Errorf("too large: error %v", err)
	}
}

func FuzzRPM(f *testing.F) {
	f.Add(ndb(someHeaders()))
	for _, name := range []string{"rpmdb.sqlite", "Packages"} {
		seed, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, db []byte) {
		packages, err := readRPM(db)
		if err != nil {
			return
		}
		for _, p := range packages {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%+v", p)
			}
		}
	})
}

// The seeds of the fuzz target are of two packages, made by SQLite and Berkeley DB.
func TestSeeds(t *testing.T) {
	for _, name := range []string{"rpmdb.sqlite", "Packages"} {
		db, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readRPM(db)
		if diff := cmp.Diff(somePackages, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
}
