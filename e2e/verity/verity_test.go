// Package verity boots images with a hash tree of dm-verity under QEMU: whole ones, such with one changed byte, and with
// right and wrong root hashes.
package verity

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/internal/verity/layout"
)

const (
	changed = "; the image was changed or is damaged: copy or build it anew"
	block   = layout.BlockSize
)

func TestVerity(t *testing.T) {
	k := newKit(t)
	codecs := map[string]string{"squashfs": "zstd", "erofs": "lz4"}
	for _, filesystem := range []string{"squashfs", "erofs"} {
		t.Run(filesystem, func(t *testing.T) {
			image, paramsFile, p := k.image(t, filesystem)
			t.Run("veritysetup", func(t *testing.T) { checkWithVeritysetup(t, image, p) })
			initramfs := k.initramfs(t, filesystem, "--verity", paramsFile, "--compression", codecs[filesystem])
			t.Run("whole", func(t *testing.T) {
				k.checkBoots(t, initramfs, image, "", filesystem)
			})
			for _, c := range changes(t, filesystem, image, p) {
				t.Run(c.name, func(t *testing.T) {
					k.checkRefused(t, initramfs, flipped(t, image, c.offset), "", c.want)
				})
			}
			t.Run("no tree", func(t *testing.T) {
				k.checkRefused(t, initramfs, cutOff(t, image, p.HashOffset), "", noTree(p.HashOffset, filesystem))
			})
		})
	}
	t.Run("root hash", func(t *testing.T) { k.testRootHash(t) })
	t.Run("ext4", func(t *testing.T) {
		k.checkRefused(t, k.initramfs(t, "squashfs", "--verity-cmdline"), harness.Image(t, "ext4", k.layer), "roothash="+layout.Hash{}.String(),
			"/dev/vda holds ext4, and this initramfs boots only what has a hash tree of dm-verity, which ext4 cannot have; "+
				"attach the image that was built with this initramfs")
	})
}

func checkWithVeritysetup(t *testing.T, image string, p verity.Params) {
	t.Helper()
	veritysetup, err := exec.LookPath("veritysetup")
	if err != nil {
		t.Skip("needs veritysetup: apt install cryptsetup-bin")
	}
	harness.MustRun(t, veritysetup, "verify", image, image, p.RootHash.String(), fmt.Sprintf("--hash-offset=%d", p.HashOffset))
}

// checkBoots holds that the agent finds itself on an overlay.
func (k *kit) checkBoots(t *testing.T, initramfs, disk, cmdline, filesystem string) {
	t.Helper()
	console := k.boot(t, initramfs, disk, cmdline)
	said := harness.Said(console, "fledge-init: ")
	if want := "/dev/vda (" + filesystem + "), verified, overlay 1G, /bin/kestrel stage2"; len(said) != 1 || said[0] != want {
		t.Errorf("the init said %q, want %q", said, want)
	}
	agent := strings.Join(harness.Said(console, "agent: "), "\n")
	if !strings.Contains(agent, "the root takes writes") || !strings.HasSuffix(agent, "\ndone") || strings.Contains(agent, "error") {
		t.Errorf("the agent said\n%s", agent)
	}
}

// checkRefused holds that the init says one line, an error, and that no agent runs.
func (k *kit) checkRefused(t *testing.T, initramfs, disk, cmdline, want string) {
	t.Helper()
	console := k.boot(t, initramfs, disk, cmdline)
	if said := harness.Said(console, "fledge-init: "); len(said) != 1 || said[0] != "error: "+want {
		t.Errorf("the init said\n%q, want\n%q", said, "error: "+want)
	}
	if agent := harness.Said(console, "agent: "); len(agent) > 0 {
		t.Errorf("the agent said %q", agent)
	}
}

// change is a byte that is changed, and the line that tells it.
type change struct {
	name   string
	offset int64
	want   string
}

func noTree(offset int64, filesystem string) string {
	return fmt.Sprintf("no hash tree of dm-verity at offset %d of /dev/vda, where its %s ends; build the image with dm-verity; if it was, %s",
		offset, filesystem, strings.TrimPrefix(changed, "; "))
}

// changes are bytes of every kind that an image has.
func changes(t *testing.T, filesystem, image string, p verity.Params) []change {
	t.Helper()
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	end, super, tree := int64(len(b)), p.HashOffset, p.HashOffset+block
	leaves := tree + block // a root block, and behind it the blocks with the hashes of data
	if want := layout.Levels(uint64(p.DataBlocks)); len(want) != 2 || end != leaves+int64(want[1])*block {
		t.Fatalf("the image of %d bytes has levels of %d blocks, want two levels up to its end", end, want)
	}
	read := func(at int64) string {
		return fmt.Sprintf("the block at offset %d of /dev/vda, or a hash over it, does not match root hash %s: input/output error%s",
			at/block*block, p.RootHash, changed)
	}
	inSuper := func(at int64) string {
		return fmt.Sprintf("byte %d of /dev/vda, in the superblock of dm-verity, is not as it was made%s", super+at, changed)
	}
	const otherFile = "/dev/vda holds no file system that boots (squashfs, erofs, ext4, xfs or btrfs), its first bytes are %s; " +
		"attach the image as the machine's first virtio disk; if it is, the image was changed or is damaged: copy or build it anew"
	if filesystem == "erofs" {
		return []change{
			{"superblock's magic", 1024, fmt.Sprintf(otherFile, "00 00 00 00 00 00 00 00")},
			{"superblock's size", 1024 + 38, noTree(super^0x20<<16*block, filesystem)},
			{"superblock's UUID", 1024 + 48, read(0)},
			{"data", super / 2, read(super / 2)},
			{"last block of data", super - block, read(super - block)},
			{"last byte", end - 1, read((end - 1 - leaves) / block * 128 * block)},
		}
	}
	used := int64(binary.LittleEndian.Uint64(b[40:]))
	if used >= super {
		t.Fatalf("the squashfs of %d bytes has no padding up to %d", used, super)
	}
	return []change{
		{"superblock's magic", 1, fmt.Sprintf(otherFile, fmt.Sprintf("68 53 % x", b[2:8]))},
		{"superblock's time", 8, read(0)},
		{"superblock's size", 43, noTree(super^0x20<<24, filesystem)},
		{"data", super / 2, read(super / 2)},
		{"padding", used, read(used)},
		{"superblock of dm-verity, signature", super, noTree(super, filesystem)},
		{"superblock of dm-verity, version", super + 8, inSuper(8)},
		{"superblock of dm-verity, UUID", super + 20, fmt.Sprintf("the superblock of dm-verity at offset %d of /dev/vda is of another root hash than %s: "+
			"byte %d differs; attach the image with this root hash; if it is that, %s", super, p.RootHash, super+20, changed[2:])},
		{"superblock of dm-verity, salt", super + 100, read(0)},
		{"superblock of dm-verity, padding", super + 4095, inSuper(4095)},
		{"root of the tree", tree, read(0)},
		{"padding of the root", tree + block - 1, read(0)},
		{"second block of hashes", leaves + block + 7, read(128 * block)},
		{"last byte", end - 1, read((end - 1 - leaves) / block * 128 * block)},
	}
}

// testRootHash boots one image with root hashes from everywhere.
func (k *kit) testRootHash(t *testing.T) {
	image, paramsFile, p := k.image(t, "squashfs")
	root := p.RootHash.String()
	fromCmdline, bakedIn := k.initramfs(t, "squashfs", "--verity-cmdline"), k.initramfs(t, "squashfs", "--verity", paramsFile)
	first, last := p.RootHash, p.RootHash
	first[0]++
	last[31]++
	for _, cmdline := range []string{"roothash=" + root, "roothash=" + first.String() + " roothash=" + root} {
		t.Run("right "+strconv.Itoa(len(cmdline)), func(t *testing.T) { k.checkBoots(t, fromCmdline, image, cmdline, "squashfs") })
	}
	t.Run("right twice", func(t *testing.T) { k.checkBoots(t, bakedIn, image, "roothash="+root, "squashfs") })
	for _, tt := range []struct{ name, initramfs, cmdline, want string }{
		{"missing", fromCmdline, "quiet",
			"kernel command line: no roothash=, and this initramfs boots no image without; give the image's root hash, 64 hex digits"},
		{"malformed", fromCmdline, "roothash=" + root[:63], `kernel command line: roothash=: "` + root[:63] + `" is not 64 lower-case hex digits`},
		{"of another image", fromCmdline, "roothash=" + first.String(), fmt.Sprintf(
			"the superblock of dm-verity at offset %d of /dev/vda is of another root hash than %s: byte %d differs; attach the image with this root hash; if it is that, %s",
			p.HashOffset, first, p.HashOffset+16, changed[2:])},
		{"wrong at its end", fromCmdline, "roothash=" + last.String(),
			"the block at offset 0 of /dev/vda, or a hash over it, does not match root hash " + last.String() + ": input/output error" + changed},
		{"another than baked in", bakedIn, "roothash=" + first.String(), "kernel command line: roothash=" + first.String() +
			" is not the root hash of this initramfs, " + root + "; leave it out, or use the initramfs of the other image"},
		{"malformed beside that baked in", bakedIn, "roothash=0", `kernel command line: roothash=: "0" is not 64 lower-case hex digits`},
	} {
		t.Run(tt.name, func(t *testing.T) { k.checkRefused(t, tt.initramfs, image, tt.cmdline, tt.want) })
	}
	t.Run("cut off", func(t *testing.T) {
		end := p.HashOffset + block
		for _, level := range layout.Levels(uint64(p.DataBlocks)) {
			end += int64(level) * block
		}
		k.checkRefused(t, bakedIn, cutOff(t, image, end-block), "", fmt.Sprintf(
			"/dev/vda ends at %d, and its hash tree at %d; the image was cut off: copy or build it anew", end-block, end))
	})
}
