"""The fledge_solver rule."""

load(":guest.bzl", "GUEST_ATTR")
load(":init.bzl", "kernel_args")
load(":kernel_info.bzl", "FledgeKernelInfo")
load(":packs.bzl", "PACKER_ATTR", "PACKER_REQUIREMENTS")
load(":solver_info.bzl", "FledgeSolverInfo")

def _fledge_solver_impl(ctx):
    kernel = ctx.attr.kernel[FledgeKernelInfo]
    if not kernel.bzimage and not kernel.vmlinux:
        fail("{}: kernel: {} has neither bzimage nor vmlinux".format(ctx.label, ctx.attr.kernel.label))
    out = ctx.actions.declare_file(ctx.label.name + ".initramfs.cpio.gz")
    args = ctx.actions.args()
    args.add("guest-initramfs")
    args.add("--guest", ctx.file._guest_program)
    kernel_files = kernel_args(args, kernel)
    args.add("--out", out)
    ctx.actions.run(
        mnemonic = "FledgeGuestInitramfs",
        progress_message = "Making %{output}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = depset([ctx.file._guest_program], transitive = [kernel_files]),
        outputs = [out],
        execution_requirements = PACKER_REQUIREMENTS,
    )
    return [
        DefaultInfo(files = depset([out])),
        FledgeSolverInfo(initramfs = out, kernel = kernel),
    ]

fledge_solver = rule(
    implementation = _fledge_solver_impl,
    doc = """Declares the machine that solves Dockerfiles: a kernel, and a guest with BuildKit in it.

```starlark
fledge_solver(
    name = "solver",
    kernel = ":kernel",
)
```

`fledge_dockerfile` has one of its own, with the kernel that `FLEDGE_KERNEL_BZIMAGE` names; this is for another kernel. The
default output is `NAME.initramfs.cpio.gz`, made by an action `FledgeGuestInitramfs`; before the first, an action
`FledgeGoModule` builds the guest, which takes minutes, once.
""",
    attrs = GUEST_ATTR | PACKER_ATTR | {
        "kernel": attr.label(
            mandatory = True,
            providers = [FledgeKernelInfo],
            doc = "The kernel, a `fledge_kernel` for the target platform's CPU. Of its modules those are taken that a solve " +
                  "needs: virtio's disks, console and network card, and overlay.",
        ),
        "_guest_program": attr.label(
            default = Label("//tools/guest"),
            allow_single_file = True,
        ),
    },
    provides = [FledgeSolverInfo],
)
