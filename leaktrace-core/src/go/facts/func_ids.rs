//! The functions that the runtime treats specially, and how they were numbered, release by release.
//!
//! Source: Go `src/internal/abi/symtab.go` (`FuncID`), in go1.19 and go1.20 `src/runtime/symtab.go` (`funcID`).

use serde::{Deserialize, Serialize};

/// A function that the runtime treats specially: `abi.FuncID`, the same over all releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FuncId {
    /// A function like any other.
    Normal,
    /// `runtime.abort`.
    Abort,
    /// `runtime.asmcgocall`.
    AsmCgocall,
    /// `runtime.asyncPreempt`.
    AsyncPreempt,
    /// `runtime.cgocallback`.
    Cgocallback,
    /// `runtime.corostart`.
    Corostart,
    /// `runtime.debugCallV2`.
    DebugCall,
    /// `runtime.gcBgMarkWorker`.
    GcBgMarkWorker,
    /// `runtime.goexit`.
    Goexit,
    /// `runtime.gogo`.
    Gogo,
    /// `runtime.gopanic`.
    Gopanic,
    /// `runtime.handleAsyncEvent`.
    HandleAsyncEvent,
    /// `runtime.mcall`.
    Mcall,
    /// `runtime.morestack`.
    Morestack,
    /// `runtime.mstart`.
    Mstart,
    /// `runtime.panicwrap`.
    Panicwrap,
    /// `runtime.rt0_go`.
    Rt0Go,
    /// `runtime.runfinq`, and `runtime.runFinalizers` since Go 1.25.
    RunFinalizers,
    /// `runtime.runCleanups`.
    RunCleanups,
    /// `runtime.main`.
    RuntimeMain,
    /// `runtime.sigpanic`.
    Sigpanic,
    /// `runtime.systemstack`.
    Systemstack,
    /// `runtime.systemstack_switch`.
    SystemstackSwitch,
    /// Generated code: method wrappers, wrappers between calling conventions, hash and equality functions.
    Wrapper,
    /// A number that the table gives no name to.
    Other,
}

/// From go1.18 on.
pub(super) const GO_1_18: [FuncId; 22] = [
    FuncId::Normal,
    FuncId::Abort,
    FuncId::AsmCgocall,
    FuncId::AsyncPreempt,
    FuncId::Cgocallback,
    FuncId::DebugCall,
    FuncId::GcBgMarkWorker,
    FuncId::Goexit,
    FuncId::Gogo,
    FuncId::Gopanic,
    FuncId::HandleAsyncEvent,
    FuncId::Mcall,
    FuncId::Morestack,
    FuncId::Mstart,
    FuncId::Panicwrap,
    FuncId::Rt0Go,
    FuncId::RunFinalizers,
    FuncId::RuntimeMain,
    FuncId::Sigpanic,
    FuncId::Systemstack,
    FuncId::SystemstackSwitch,
    FuncId::Wrapper,
];

/// From go1.22 on: `corostart` came in between.
pub(super) const GO_1_22: [FuncId; 23] = [
    FuncId::Normal,
    FuncId::Abort,
    FuncId::AsmCgocall,
    FuncId::AsyncPreempt,
    FuncId::Cgocallback,
    FuncId::Corostart,
    FuncId::DebugCall,
    FuncId::GcBgMarkWorker,
    FuncId::Goexit,
    FuncId::Gogo,
    FuncId::Gopanic,
    FuncId::HandleAsyncEvent,
    FuncId::Mcall,
    FuncId::Morestack,
    FuncId::Mstart,
    FuncId::Panicwrap,
    FuncId::Rt0Go,
    FuncId::RunFinalizers,
    FuncId::RuntimeMain,
    FuncId::Sigpanic,
    FuncId::Systemstack,
    FuncId::SystemstackSwitch,
    FuncId::Wrapper,
];

/// From go1.25 on: `runfinq` became `runFinalizers`, behind `runtime.main`, and `runCleanups` followed it.
pub(super) const GO_1_25: [FuncId; 24] = [
    FuncId::Normal,
    FuncId::Abort,
    FuncId::AsmCgocall,
    FuncId::AsyncPreempt,
    FuncId::Cgocallback,
    FuncId::Corostart,
    FuncId::DebugCall,
    FuncId::GcBgMarkWorker,
    FuncId::Goexit,
    FuncId::Gogo,
    FuncId::Gopanic,
    FuncId::HandleAsyncEvent,
    FuncId::Mcall,
    FuncId::Morestack,
    FuncId::Mstart,
    FuncId::Panicwrap,
    FuncId::Rt0Go,
    FuncId::RuntimeMain,
    FuncId::RunFinalizers,
    FuncId::RunCleanups,
    FuncId::Sigpanic,
    FuncId::Systemstack,
    FuncId::SystemstackSwitch,
    FuncId::Wrapper,
];
