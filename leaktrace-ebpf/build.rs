//! Tells the crate which architecture's registers to read: that of `--cfg bpf_target_arch`, else the host's.

fn main() -> aya_build::Result<()> {
    aya_build::emit_bpf_target_arch_cfg()
}
