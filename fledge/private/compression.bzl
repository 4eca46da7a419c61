"""The attributes about file system and compression that rules and aspects share."""

# File system -> compressors it can have, its default first.
_FILESYSTEMS = {
    "btrfs": ["none"],
    "erofs": ["lz4", "none"],
    "ext4": ["none"],
    "squashfs": ["zstd", "gzip", "xz", "lz4", "none"],
    "xfs": ["none"],
}

# Compressor name -> highest level; the lowest is 1 and 0 stands for the compressor's default. xz, lz4 and none have no
# levels.
_MAX_LEVEL = {
    "gzip": 9,
    "lz4": 0,
    "none": 0,
    "xz": 0,
    "zstd": 22,
}

_BLOCK_SIZES = {
    "4K": 4096,
    "8K": 8192,
    "16K": 16384,
    "32K": 32768,
    "64K": 65536,
    "128K": 131072,
    "256K": 262144,
    "512K": 524288,
    "1M": 1048576,
}

_BLOCK_SIZE = "128K"

_COMPRESSORS = _MAX_LEVEL.keys()

_LEVEL = attr.int(default = 0, values = range(0, 23))

# Rule and aspect share these names: Bazel then hands the rule's values to the aspect, and layers that several images
# use with the same values are packed by one action. Values are listed because aspects take only enumerated parameters.
# The macros that declare the rules say what they are.
COMPRESSION_ATTRS = {
    "block_size": attr.string(default = _BLOCK_SIZE, values = _BLOCK_SIZES.keys()),
    "compression": attr.string(values = [""] + _COMPRESSORS),
    "compression_level": _LEVEL,
    "filesystem": attr.string(default = "squashfs", values = _FILESYSTEMS.keys()),
}

# The same for an initramfs, which has no blocks.
INITRAMFS_COMPRESSION_ATTRS = {
    "compression": attr.string(default = "gzip", values = _COMPRESSORS),
    "compression_level": _LEVEL,
}

# Guests write to these images themselves, which hold files as they are.
WRITABLE_FILESYSTEMS = ["btrfs", "ext4", "xfs"]

def _filesystem(ctx):
    """The file system of the rule, "" of an initramfs."""
    return getattr(ctx.attr, "filesystem", "")

def compressor(ctx):
    """Gives the compressor that a rule or aspect asks for.

    Args:
      ctx: context of a rule or aspect that has COMPRESSION_ATTRS, or those of an initramfs.

    Returns:
      string
    """
    filesystem, name = _filesystem(ctx), ctx.attr.compression
    if not filesystem:
        return name
    choices = _FILESYSTEMS[filesystem]
    if name and name not in choices:
        fail("{}: compression = {}: {}".format(
            ctx.label,
            repr(name),
            "{} holds files as they are; leave the attribute out".format(filesystem) if choices == ["none"] else "{} can have {}".format(filesystem, " or ".join(choices)),
        ))
    if filesystem != "squashfs" and ctx.attr.block_size != _BLOCK_SIZE:
        fail("{}: block_size is of squashfs, and filesystem = {}; leave it out".format(ctx.label, repr(filesystem)))
    return name or choices[0]

def compression_args(ctx, args):
    """Adds --compression, --level and --block-size to a packer command line.

    Args:
      ctx: context of a rule or aspect that has COMPRESSION_ATTRS, or those of an initramfs.
      args: the Args to add to.
    """
    compression, level = compressor(ctx), ctx.attr.compression_level
    if level > _MAX_LEVEL[compression]:
        fail("{}: compression_level = {}: {} has {}".format(
            ctx.label,
            level,
            compression,
            "levels 1 to {}".format(_MAX_LEVEL[compression]) if _MAX_LEVEL[compression] else "no levels; leave the attribute out",
        ))
    args.add("--compression", compression)
    args.add("--level", level)
    if _pack_kind(ctx) == "squashfs":
        args.add("--block-size", _BLOCK_SIZES[ctx.attr.block_size])

def _pack_kind(ctx):
    """The kind of packs. Those of a writable file system are squashfs's without compression, and shared with it."""
    filesystem = _filesystem(ctx)
    if not filesystem:
        return "initramfs"
    return "squashfs" if filesystem in WRITABLE_FILESYSTEMS else filesystem

def pack_args(ctx, args):
    """Adds compression_args and what the pack is for to the command line of a command that makes packs.

    Args:
      ctx: as for compression_args.
      args: the Args to add to.
    """
    compression_args(ctx, args)
    args.add("--for", _pack_kind(ctx))

def compression_slug(ctx):
    """Names the compression settings, for the names of intermediate files."""
    kind = _pack_kind(ctx)
    return "{}{}-{}".format(
        compressor(ctx),
        ctx.attr.compression_level or "",
        ctx.attr.block_size.lower() if kind == "squashfs" else kind,
    )
