package inspect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
	"github.com/fledge-build/fledge/tools/fledge/internal/origin"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// largestDirectories is how many directories the summary names when their sizes are not asked for.
const largestDirectories = 10

// TextOptions say what the summary shows.
type TextOptions struct {
	Path     string
	Depth    int            // of directories, below Path
	Sizes    bool           // of all directories to that depth, not of the largest alone
	Verified bool           // the image was verified
	Origin   *origin.Report // what came from which layer; nil is not known
}

// Text writes a summary for people.
func Text(w io.Writer, im *imagefile.Image, o TextOptions) error {
	digest, err := im.FileDigest()
	if err != nil {
		return err
	}
	info := im.Info()
	s, err := Summarize(im, o.Path, o.Depth)
	unlisted := errors.Is(err, artifact.ErrUnlisted) && o.Path == "."
	if err != nil && !unlisted {
		return err
	}
	t := &textWriter{Writer: bufio.NewWriter(w)}
	t.field("image", "%s", Printable(im.Name))
	t.field("size", "%s", bytesOf(info.Size))
	t.field("digest", "%s", digest)
	switch {
	case info.Squashfs != nil:
		t.squashfs(info.Squashfs)
	case info.FileSystem != nil:
		t.fileSystem(info.Kind, info.FileSystem)
	default:
		t.field("kind", "cpio (initramfs), %s", count(len(info.Segments), "segment"))
	}
	t.verity(info.Verity)
	if o.Verified {
		t.field("verified", "%s", verified(im))
	}
	if unlisted {
		t.field("contents", "%v", err)
	} else {
		t.listed(s, info, o)
	}
	if len(info.Notes) > 0 {
		fmt.Fprintln(t, "\nNotes")
		for _, note := range info.Notes {
			fmt.Fprintf(t, "  %s\n", Printable(note))
		}
	}
	if err := t.manifest(im.Manifest, digest); err != nil {
		return err
	}
	return t.Flush()
}

// listed shows the files.
func (t *textWriter) listed(s *Summary, info *artifact.Info, o TextOptions) {
	t.contents(s, o.Path)
	t.segments(info.Segments, s.Segments, o.Sizes)
	t.layers(o.Origin)
	t.directories(s.Directories, o.Sizes)
	t.usage("Largest files", s.Largest, false)
}

type textWriter struct{ *bufio.Writer }

func (t *textWriter) field(name, format string, args ...any) {
	fmt.Fprintf(t, "%-12s", name)
	fmt.Fprintf(t, format+"\n", args...)
}

// bytesOf is a size for people, and exactly.
func bytesOf(n int64) string {
	if n < 1000 {
		return ui.Size(n)
	}
	return fmt.Sprintf("%s (%d bytes)", ui.Size(n), n)
}

// count is a number of things in words.
func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func date(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.DateTime) + " UTC" }

func (t *textWriter) squashfs(s *artifact.SquashfsInfo) {
	t.field("kind", "squashfs %s", s.Version)
	options := ""
	if len(s.Options) > 0 {
		options = " (" + strings.Join(s.Options, " ") + ")"
	}
	t.field("compressor", "%s%s, blocks of %d KiB", s.Compressor, options, s.BlockSize>>10)
	t.field("created", "%s", date(int64(s.Created)))
	t.field("flags", "%s", strings.Join(s.Flags, ", "))
	t.field("tables", "%s, %s, %s", count(int(s.Inodes), "inode"), count(int(s.Fragments), "fragment block"),
		count(int(s.IDs), "owner or group id"))
	var parts []string
	for _, p := range s.Parts {
		parts = append(parts, fmt.Sprintf("%s %s", p.Name, ui.Size(p.Size)))
	}
	t.field("parts", "%s", strings.Join(parts, ", "))
}

func (t *textWriter) contents(s *Summary, path string) {
	n := s.Totals
	name := ""
	if path != "." {
		name = "of " + Printable(path) + ": "
	}
	t.field("contents", "%s%s, %s, %s, %s, %s", name, count(n.Files, "file"), count(n.Directories, "directory"),
		count(n.Symlinks, "symlink"), count(n.Devices, "device"), fmt.Sprintf("%d FIFOs and sockets", n.Others))
	if n.HardLinks > 0 || n.Xattrs > 0 {
		t.field("", "%s, %s", count(n.HardLinks, "further hard link"), count(n.Xattrs, "extended attribute"))
	}
	ratio := ""
	if n.Size > 0 {
		ratio = fmt.Sprintf(", %.1f %%", 100*float64(n.Stored)/float64(n.Size))
	}
	t.field("data", "%s, stored in %s%s", bytesOf(n.Size), ui.Size(n.Stored), ratio)
	t.field("times", "%s to %s", date(n.Oldest), date(n.Newest))
	t.field("owners", "%s", owners(s.Owners))
}

// owners lists the owners that most entries have.
func owners(all map[[2]uint32]int) string {
	type owner struct {
		ids [2]uint32
		n   int
	}
	var list []owner
	for ids, n := range all {
		list = append(list, owner{ids, n})
	}
	slices.SortFunc(list, func(a, b owner) int {
		if a.n != b.n {
			return b.n - a.n
		}
		return slices.Compare(a.ids[:], b.ids[:])
	})
	const shown = 6
	var words []string
	for _, o := range list[:min(shown, len(list))] {
		words = append(words, fmt.Sprintf("%d:%d (%d)", o.ids[0], o.ids[1], o.n))
	}
	if len(list) > shown {
		words = append(words, fmt.Sprintf("%d more", len(list)-shown))
	}
	return strings.Join(words, ", ")
}

// segments lists the segments of an initramfs, or the largest of many.
func (t *textWriter) segments(list []artifact.Segment, contents []Usage, all bool) {
	if len(list) == 0 {
		return
	}
	const shown = 20
	fmt.Fprintf(t, "\nSegments\n  %-8s %12s %12s %12s %8s %12s\n", "", "AT BYTE", "STORED", "UNPACKED", "ENTRIES", "IN USE")
	for i, s := range list {
		if i == shown && !all {
			fmt.Fprintf(t, "  and %d more, which --sizes shows\n", len(list)-i)
			return
		}
		fmt.Fprintf(t, "  %-8s %12d %12d %12d %8d %12d\n", s.Compressor, s.Offset, s.Size, s.Unpacked, s.Entries, contents[i].Size)
	}
}

// layers lists the layers of the image that this one was made of.
func (t *textWriter) layers(r *origin.Report) {
	if r == nil {
		return
	}
	fmt.Fprintf(t, "\nLayers of %s, %s\n  %12s %12s %8s %12s %8s  LAYER\n", Printable(r.Image), r.Digest,
		"STORED", "SIZE", "FILES", "HIDDEN", "FILES")
	for _, l := range r.Layers {
		what := "from no layer, added when the image was made"
		if l.Name != origin.Added {
			what = strings.TrimRight(l.Digest+" "+oneLine(l.CreatedBy), " ")
		}
		fmt.Fprintf(t, "  %12d %12d %8d %12d %8d  %s\n", l.Stored, l.Bytes, l.Files, l.HiddenBytes, l.HiddenFiles, what)
	}
	if r.Replaced > 0 {
		fmt.Fprintf(t, "  %d of the container image's files and directories are other ones here\n", r.Replaced)
	}
}

// oneLine is the begin of a command.
func oneLine(command string) string {
	const shown = 60
	if runes := []rune(strings.Join(strings.Fields(command), " ")); len(runes) > shown {
		command = string(runes[:shown-1]) + "…"
	} else {
		command = string(runes)
	}
	return Printable(command)
}

// directories lists the directories, or the largest ones.
func (t *textWriter) directories(list []Usage, all bool) {
	if all {
		t.usage("Directories", list, true)
		return
	}
	list = slices.DeleteFunc(slices.Clone(list), func(u Usage) bool { return u.Path == "." || u.Size == 0 })
	slices.SortStableFunc(list, larger)
	t.usage("Largest directories", list[:min(len(list), largestDirectories)], true)
}

func (t *textWriter) usage(title string, list []Usage, files bool) {
	if len(list) == 0 {
		return
	}
	column := func(s string) string {
		if !files {
			return ""
		}
		return fmt.Sprintf(" %8s", s)
	}
	fmt.Fprintf(t, "\n%s\n  %12s %12s%s  PATH\n", title, "STORED", "SIZE", column("FILES"))
	for _, u := range list {
		fmt.Fprintf(t, "  %12d %12d%s  %s\n", u.Stored, u.Size, column(fmt.Sprint(u.Files)), Printable(u.Path))
	}
}

func (t *textWriter) manifest(m *imagefile.Manifest, digest string) error {
	if m == nil {
		return nil
	}
	says := "which has this image's digest"
	switch m.Checksum {
	case digest:
	case "":
		says = "which does not name this image"
	default:
		says = "WHICH HAS ANOTHER DIGEST for this image, " + m.Checksum + ": one of the two is of another build"
	}
	b, err := m.JSON()
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "\nManifest %s, %s\n", Printable(m.Name), Printable(says))
	for line := range strings.Lines(string(b)) {
		fmt.Fprintf(t, "  %s\n", printableJSON(strings.TrimSuffix(line, "\n")))
	}
	return nil
}
