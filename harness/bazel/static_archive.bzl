"""rc_static_archive: one .a out of cc_library targets and everything below them."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "CC_TOOLCHAIN_ATTRS", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _rc_static_archive_impl(ctx):
    cc_toolchain = find_cc_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    ar = cc_common.get_tool_for_action(
        feature_configuration = features,
        action_name = "c++-link-static-library",
    )

    # A dictionary: in order, each once. The objects, not the archives: no
    # limits of ar's MRI scripts ("+" in a path), and alwayslink makes no odds.
    objects = {}
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                for obj in library.pic_objects or library.objects or []:
                    objects[obj] = True

    out = ctx.actions.declare_file(ctx.attr.archive_name or "lib%s.a" % ctx.label.name)
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add("qcsD")
    args.add(out)
    args.add_all(objects.keys())
    ctx.actions.run(
        executable = ar,
        arguments = [args],
        inputs = depset(objects.keys(), transitive = [cc_toolchain.all_files]),
        outputs = [out],
        mnemonic = "RcStaticArchive",
        progress_message = "Archiving %s" % out.short_path,
    )
    return [
        DefaultInfo(files = depset([out])),
        OutputGroupInfo(objects = depset(objects.keys())),  # with paths, for harness/check
    ]

rc_static_archive = rule(
    implementation = _rc_static_archive_impl,
    attrs = dict(
        CC_TOOLCHAIN_ATTRS,
        archive_name = attr.string(),
        deps = attr.label_list(mandatory = True, providers = [CcInfo]),
    ),
    fragments = ["cpp"],
    toolchains = use_cc_toolchain(),
)
