"""The guest: the processor that the target platform says an image is for."""

FledgeGuestInfo = provider(
    doc = "The machine that images of this configuration are for.",
    fields = {"arch": "string: `amd64` or `arm64`, as Go and OCI name it"},
)

def _fledge_guest_impl(ctx):
    for cpu, arch in ctx.attr.cpus.items():
        if ctx.target_platform_has_constraint(cpu[platform_common.ConstraintValueInfo]):
            return [FledgeGuestInfo(arch = arch)]
    fail(("the target platform {} has no CPU that Fledge makes images for ({}): build with " +
          "--platforms=@fledge//fledge/platforms:linux_amd64 or :linux_arm64").format(
        ctx.fragments.platform.platform,
        ", ".join([str(cpu.label) for cpu in ctx.attr.cpus]),
    ))

fledge_guest = rule(
    implementation = _fledge_guest_impl,
    doc = "Reads the target platform, for all rules and aspects; on a CPU that Fledge does not know it fails.",
    attrs = {
        "cpus": attr.label_keyed_string_dict(
            mandatory = True,
            providers = [platform_common.ConstraintValueInfo],
            doc = "Constraint value of a CPU to the architecture's name.",
        ),
    },
    fragments = ["platform"],
    provides = [FledgeGuestInfo],
)

GUEST_ATTR = {
    "_guest": attr.label(
        default = Label("//fledge/private:guest"),
        providers = [FledgeGuestInfo],
    ),
}

def guest_arch(ctx):
    """Gives the architecture, `amd64` or `arm64`, to a rule or an aspect with GUEST_ATTR."""
    return ctx.attr._guest[FledgeGuestInfo].arch
