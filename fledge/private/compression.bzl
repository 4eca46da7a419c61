"""The compression attributes that every rule and aspect about squashfs data shares."""

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

_COMPRESSORS = _MAX_LEVEL.keys()

_LEVEL = attr.int(default = 0, values = range(0, 23))

# Rule and aspect share these names: Bazel then hands the rule's values to the aspect, and layers that several images
# use with the same values are packed by one action. Values are listed because aspects take only enumerated parameters.
# The macros that declare the rules say what they are.
COMPRESSION_ATTRS = {
    "block_size": attr.string(default = "128K", values = _BLOCK_SIZES.keys()),
    "compression": attr.string(default = "zstd", values = _COMPRESSORS),
    "compression_level": _LEVEL,
    "_pack_for": attr.string(default = "squashfs"),
}

# The same for an initramfs, which has no blocks.
INITRAMFS_COMPRESSION_ATTRS = {
    "compression": attr.string(default = "gzip", values = _COMPRESSORS),
    "compression_level": _LEVEL,
    "_pack_for": attr.string(default = "initramfs"),
}

def compression_args(ctx, args):
    """Adds --compression, --level and --block-size to a packer command line.

    Args:
      ctx: context of a rule or aspect that has COMPRESSION_ATTRS, or those of an initramfs.
      args: the Args to add to.
    """
    compression, level = ctx.attr.compression, ctx.attr.compression_level
    if level > _MAX_LEVEL[compression]:
        fail("{}: compression_level = {}: {} has {}".format(
            ctx.label,
            level,
            compression,
            "levels 1 to {}".format(_MAX_LEVEL[compression]) if _MAX_LEVEL[compression] else "no levels; leave the attribute out",
        ))
    args.add("--compression", compression)
    args.add("--level", level)
    if ctx.attr._pack_for == "squashfs":
        args.add("--block-size", _BLOCK_SIZES[ctx.attr.block_size])

def pack_args(ctx, args):
    """Adds compression_args and what the pack is for to the command line of a command that makes packs.

    Args:
      ctx: as for compression_args.
      args: the Args to add to.
    """
    compression_args(ctx, args)
    args.add("--for", ctx.attr._pack_for)

def compression_slug(ctx):
    """Names the compression settings, for the names of intermediate files."""
    if ctx.attr._pack_for == "initramfs":
        return "{}{}-initramfs".format(ctx.attr.compression, ctx.attr.compression_level or "")
    return "{}{}-{}".format(ctx.attr.compression, ctx.attr.compression_level or "", ctx.attr.block_size.lower())
