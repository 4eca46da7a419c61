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

# Rule and aspect share these names: Bazel then hands the rule's values to the aspect, and layers that several images
# use with the same values are packed by one action. Values are listed because aspects take only enumerated parameters.
COMPRESSION_ATTRS = {
    "block_size": attr.string(
        default = "128K",
        doc = "Size of a squashfs data block, a power of two from `4K` to `1M`. Larger blocks compress better and " +
              "make small random reads slower.",
        values = _BLOCK_SIZES.keys(),
    ),
    "compression": attr.string(
        default = "zstd",
        doc = "Compressor of the image: `zstd`, `gzip`, `xz`, `lz4` or `none`. The squashfs driver of the kernel " +
              "that boots it must have it (`CONFIG_SQUASHFS_ZSTD` and so on).",
        values = _MAX_LEVEL.keys(),
    ),
    "compression_level": attr.int(
        default = 0,
        doc = "Level of the compressor: 1 to 22 for `zstd`, 1 to 9 for `gzip`; 0 is its default (15 and 9). `xz`, " +
              "`lz4` and `none` have no levels, and any but 0 is an error. docs/compression.md lists what each " +
              "costs and gains.",
        values = range(0, 23),
    ),
}

def compression_args(ctx, args):
    """Adds --compression, --level and --block-size to a packer command line.

    Args:
      ctx: context of a rule or aspect that has COMPRESSION_ATTRS.
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
    args.add("--block-size", _BLOCK_SIZES[ctx.attr.block_size])

def compression_slug(ctx):
    """Names the compression settings, for the names of intermediate files."""
    return "{}{}-{}".format(ctx.attr.compression, ctx.attr.compression_level or "", ctx.attr.block_size.lower())
