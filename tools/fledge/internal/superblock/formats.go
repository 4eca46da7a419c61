package superblock

import (
	"encoding/binary"
	"fmt"

	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// maxBlockBits is the largest logarithm of a block's size that any of these file systems has.
const maxBlockBits = 16

// blockBits checks a logarithm of a block's size, and gives the size.
func blockBits(n uint32) (uint32, error) {
	if n < 9 || n > maxBlockBits {
		return 0, fmt.Errorf("the superblock is damaged: blocks of 2^%d bytes", n)
	}
	return 1 << n, nil
}

const erofsAt, erofsSize = 1024, 128

var (
	erofsCompat   = words("sb_csum mtime xattr_filter shared_ea_in_metabox plain_xattr_pfx")
	erofsIncompat = words("lz4_0padding compr_cfgs chunked_file device_table ztailpacking fragments dedupe xattr_prefixes 48bit metabox")
)

// readErofs reads struct erofs_super_block of the kernel's fs/erofs/erofs_fs.h.
func readErofs(head []byte) (*artifact.FileSystemInfo, error) {
	b, err := part(head, erofsAt, erofsSize)
	if err != nil {
		return nil, err
	}
	block, err := blockBits(uint32(b[12]))
	if err != nil {
		return nil, err
	}
	compat, incompat := le.Uint32(b[8:]), le.Uint32(b[80:])
	blocks := uint64(le.Uint32(b[36:]))
	if incompat&0x100 != 0 { // 48bit
		blocks |= uint64(le.Uint16(b[14:])) << 32
	}
	if compat&1 != 0 { // sb_csum: of the rest of the superblock's block, in which its own field is zero
		end := int(block)
		if end <= erofsAt {
			end += erofsAt
		}
		rest, err := part(head, erofsAt, end-erofsAt)
		if err != nil {
			return nil, err
		}
		if ^crc32c(rest[:4], make([]byte, 4), rest[8:]) != le.Uint32(b[4:]) {
			return nil, errChecksum
		}
	}
	inodes, built := le.Uint64(b[16:]), int64(le.Uint64(b[24:]))
	return &artifact.FileSystemInfo{
		UUID: uuid(b[48:]), Label: text(b[64:80]), BlockSize: block, Blocks: blocks, Bytes: blocks * uint64(block),
		Inodes: &inodes, Created: &built,
		Features: append(features("C", uint64(compat), erofsCompat...), features("I", uint64(incompat), erofsIncompat...)...),
	}, nil
}

const ext4At, ext4Size = 1024, 1024

var (
	ext4Compat = words("dir_prealloc imagic_inodes has_journal ext_attr resize_inode dir_index lazy_bg - exclude_bitmap sparse_super2 " +
		"fast_commit stable_inodes orphan_file")
	ext4Incompat = words("compression filetype needs_recovery journal_dev meta_bg - extent 64bit mmp flex_bg ea_inode - dirdata " +
		"metadata_csum_seed large_dir inline_data encrypt casefold")
	ext4ReadOnly = words("sparse_super large_file - huge_file uninit_bg dir_nlink extra_isize - quota bigalloc metadata_csum replica " +
		"read-only project shared_blocks verity orphan_present")
)

// readExt4 reads struct ext4_super_block of the kernel's fs/ext4/ext4.h.
func readExt4(head []byte) (*artifact.FileSystemInfo, error) {
	b, err := part(head, ext4At, ext4Size)
	if err != nil {
		return nil, err
	}
	block, err := blockBits(10 + le.Uint32(b[24:]))
	if err != nil {
		return nil, err
	}
	compat, incompat, readOnly := le.Uint32(b[92:]), le.Uint32(b[96:]), le.Uint32(b[100:])
	if readOnly&0x400 != 0 && ^crc32c(b[:1020]) != le.Uint32(b[1020:]) { // metadata_csum
		return nil, errChecksum
	}
	blocks, free := uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[12:]))
	if incompat&0x80 != 0 { // 64bit
		blocks |= uint64(le.Uint32(b[336:])) << 32
		free |= uint64(le.Uint32(b[344:])) << 32
	}
	free *= uint64(block)
	inodes, freeInodes, made := uint64(le.Uint32(b[0:])), uint64(le.Uint32(b[16:])), int64(le.Uint32(b[264:]))
	list := append(features("C", uint64(compat), ext4Compat...), features("I", uint64(incompat), ext4Incompat...)...)
	return &artifact.FileSystemInfo{
		UUID: uuid(b[104:]), Label: text(b[120:136]), BlockSize: block, Blocks: blocks, Bytes: blocks * uint64(block), Free: &free,
		Inodes: &inodes, FreeInodes: &freeInodes, Created: &made,
		Features: append(list, features("R", uint64(readOnly), ext4ReadOnly...)...),
	}, nil
}

const xfsSize = 512

var (
	xfsReadOnly = words("finobt rmapbt reflink inobtcnt")
	xfsIncompat = words("ftype spinodes meta_uuid bigtime needsrepair nrext64 exchange parent metadir zoned")
)

// readXFS reads struct xfs_dsb of the kernel's fs/xfs/libxfs/xfs_format.h, version 4 or 5.
func readXFS(head []byte) (*artifact.FileSystemInfo, error) {
	b, err := part(head, 0, xfsSize)
	if err != nil {
		return nil, err
	}
	block, err := blockBits(uint32(b[120]))
	if err != nil {
		return nil, err
	}
	blocks, inodes, free := be.Uint64(b[8:]), be.Uint64(b[128:]), be.Uint64(b[144:])*uint64(block)
	freeInodes := be.Uint64(b[136:])
	info := &artifact.FileSystemInfo{
		UUID: uuid(b[32:]), Label: text(b[108:120]), BlockSize: block, Blocks: blocks, Bytes: blocks * uint64(block), Free: &free,
		Inodes: &inodes, FreeInodes: &freeInodes,
	}
	if be.Uint16(b[100:])&15 < 5 {
		return info, nil
	}
	sector, err := part(head, 0, int(be.Uint16(b[102:])))
	if err != nil || len(sector) < xfsSize || crc32c(sector[:224], make([]byte, 4), sector[228:]) != le.Uint32(b[224:]) {
		return nil, errChecksum
	}
	info.Features = append(features("R", uint64(be.Uint32(b[212:])), xfsReadOnly...),
		features("I", uint64(be.Uint32(b[216:])), xfsIncompat...)...)
	return info, nil
}

const btrfsAt, btrfsSize = 64 << 10, 4096

var (
	btrfsReadOnly = words("free-space-tree free-space-tree-valid verity block-group-tree")
	btrfsIncompat = words("mixed-backref default-subvol mixed-groups compress-lzo compress-zstd big-metadata extended-iref raid56 " +
		"skinny-metadata no-holes metadata-uuid raid1c34 zoned extent-tree-v2 raid-stripe-tree - simple-quota")
)

// readBtrfs reads struct btrfs_super_block of the kernel's include/uapi/linux/btrfs_tree.h.
func readBtrfs(head []byte) (*artifact.FileSystemInfo, error) {
	b, err := part(head, btrfsAt, btrfsSize)
	if err != nil {
		return nil, err
	}
	if le.Uint16(b[196:]) == 0 && crc32c(b[32:]) != le.Uint32(b) { // CRC-32C, the only one that is read
		return nil, errChecksum
	}
	block, total, used := le.Uint32(b[144:]), le.Uint64(b[112:]), le.Uint64(b[120:])
	if block == 0 || used > total {
		return nil, fmt.Errorf("the superblock is damaged: %d of %d bytes used, in blocks of %d", used, total, block)
	}
	free := total - used
	return &artifact.FileSystemInfo{
		UUID: uuid(b[32:]), Label: text(b[299:555]), BlockSize: block, Blocks: total / uint64(block), Bytes: total, Free: &free,
		Features: append(features("R", le.Uint64(b[180:]), btrfsReadOnly...), features("I", le.Uint64(b[188:]), btrfsIncompat...)...),
	}, nil
}
