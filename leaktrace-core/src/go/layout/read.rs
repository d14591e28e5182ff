//! From shapes to the offsets that are read.
//!
//! Every field is named here once, as `src/runtime/runtime2.go` and its neighbours spell it. Where a release
//! moved or renamed a field the paths of all releases stand side by side, and whichever the binary has is used:
//! so a release that was never seen works as long as its fields keep their names.

use crate::go::layout::LayoutError;
use crate::go::layout::fields::{
    AncestorFields, GFields, HchanFields, MFields, PFields, SchedFields, SudogFields, TimerFields,
};
use crate::go::layout::shape::Shape;

impl GFields {
    pub(super) fn of(g: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: g.size,
            stack_lo: g.required("stack.lo")?,
            stack_hi: g.required("stack.hi")?,
            stackguard1: g.required("stackguard1")?,
            m: g.required("m")?,
            sched_sp: g.required("sched.sp")?,
            sched_pc: g.required("sched.pc")?,
            sched_g: g.required("sched.g")?,
            sched_lr: g.required("sched.lr")?,
            sched_bp: g.required("sched.bp")?,
            syscall_sp: g.required("syscallsp")?,
            syscall_pc: g.required("syscallpc")?,
            syscall_bp: g.optional("syscallbp"),
            atomicstatus: g.required("atomicstatus")?,
            goid: g.required("goid")?,
            schedlink: g.required("schedlink")?,
            waitsince: g.required("waitsince")?,
            waitreason: g.required("waitreason")?,
            lockedm: g.required("lockedm")?,
            parent_goid: g.optional("parentGoid"),
            gopc: g.required("gopc")?,
            ancestors: g.required("ancestors")?,
            startpc: g.required("startpc")?,
            waiting: g.required("waiting")?,
            labels: g.required("labels")?,
            timer: g.required("timer")?,
            sleep_when: g.optional("sleepWhen"),
            tracking_seq: g.optional("trackingSeq"),
            select_done: g.required("selectDone")?,
            // go1.24 called it `syncGroup`.
            bubble: g.any(&["bubble", "syncGroup"]),
            running_cleanups: g.optional("runningCleanups"),
        })
    }
}

impl MFields {
    pub(super) fn of(m: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: m.size,
            g0: m.required("g0")?,
            procid: m.required("procid")?,
            gsignal: m.required("gsignal")?,
            curg: m.required("curg")?,
            p: m.required("p")?,
            id: m.required("id")?,
            alllink: m.required("alllink")?,
            lockedg: m.required("lockedg")?,
        })
    }
}

impl PFields {
    pub(super) fn of(p: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: p.size,
            id: p.required("id")?,
            status: p.required("status")?,
            m: p.required("m")?,
            // A count next to the list up to go1.24, inside the list from go1.25 on.
            gfree_count: p.required_any(&["gFree.n", "gFree.size"])?,
            goid_cache: p.optional("goidcache"),
            goid_cache_end: p.optional("goidcacheend"),
            goroutines_created: p.optional("goroutinesCreated"),
        })
    }
}

impl SudogFields {
    pub(super) fn of(sudog: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: sudog.size,
            g: sudog.required("g")?,
            next: sudog.required("next")?,
            prev: sudog.required("prev")?,
            // `maybeTraceablePtr` of go1.26: `vu` is the source of truth, `vp` may be nil.
            elem: sudog.required_any(&["elem.vu", "elem"])?,
            is_select: sudog.required("isSelect")?,
            parent: sudog.required("parent")?,
            waitlink: sudog.required("waitlink")?,
            c: sudog.required_any(&["c.maybeTraceablePtr.vu", "c.vu", "c"])?,
        })
    }
}

impl HchanFields {
    pub(super) fn of(hchan: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: hchan.size,
            qcount: hchan.required("qcount")?,
            dataqsiz: hchan.required("dataqsiz")?,
            elemsize: hchan.required("elemsize")?,
            closed: hchan.required("closed")?,
            timer: hchan.optional("timer"),
            elemtype: hchan.required("elemtype")?,
            recvq_first: hchan.required("recvq.first")?,
            sendq_first: hchan.required("sendq.first")?,
        })
    }
}

impl TimerFields {
    pub(super) fn of(timer: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            when: timer.required("when")?,
            period: timer.required("period")?,
            arg: timer.optional("arg"),
            status: timer.optional("status"),
        })
    }
}

impl AncestorFields {
    pub(super) fn of(ancestor: &Shape) -> Result<Self, LayoutError> {
        Ok(Self {
            size: ancestor.size,
            pcs: ancestor.required("pcs")?,
            goid: ancestor.required("goid")?,
            gopc: ancestor.required("gopc")?,
        })
    }
}

impl SchedFields {
    pub(super) fn of(sched: &Shape) -> Result<Self, LayoutError> {
        let gfree_counts = match sched.optional("gFree.n") {
            Some(one) => vec![one],
            None => vec![sched.required("gFree.stack.size")?, sched.required("gFree.noStack.size")?],
        };
        Ok(Self {
            lock: sched.required("lock")?,
            ngsys: sched.required("ngsys")?,
            gfree_counts,
            goroutines_created: sched.optional("goroutinesCreated"),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::go::layout::sample::{layout, shape};
    use crate::go::layout::shape::Shape;
    use crate::go::layout::{LabelsFormat, Layout, LayoutError};
    use crate::go::version::GoVersion;

    #[test]
    fn an_address_behind_a_traceable_pointer_is_read_from_its_second_word() {
        let layout = layout();
        assert_eq!((layout.sudog.elem, layout.sudog.c), (32, 96));
        // go1.25 and earlier
        let older = |name: &str| {
            let mut shape = shape(name);
            if let Some(sudog) = shape.as_mut().filter(|shape| shape.name == "runtime.sudog") {
                sudog.fields.retain(|path, _| !path.contains('.'));
            }
            Ok(shape)
        };
        let older = Layout::from_shapes(&older, GoVersion::new(1, 25)).unwrap();
        assert_eq!((older.sudog.elem, older.sudog.c), (24, 88));
    }

    #[test]
    fn a_missing_field_is_named_and_an_optional_one_is_none() {
        let without = |field: &'static str| {
            move |name: &str| {
                let mut shape = shape(name);
                if let Some(shape) = shape.as_mut() {
                    shape.fields.remove(field);
                }
                Ok(shape)
            }
        };
        let older = Layout::from_shapes(&without("parentGoid"), GoVersion::new(1, 19)).unwrap();
        assert_eq!((older.g.parent_goid, older.labels), (None, LabelsFormat::Map));
        // Only releases whose channels do not know their timers need it.
        let with_timer = |name: &str| {
            let mut timer = Shape::new(name, 96);
            timer.fields.extend([("when".to_owned(), 32), ("period".to_owned(), 40)]);
            Ok(if name == "runtime.timer" { Some(timer) } else { shape(name) })
        };
        let renamed = Layout::from_shapes(&with_timer, GoVersion::new(1, 27)).unwrap();
        assert_eq!(renamed.timer.map(|timer| timer.arg), Some(None));
        let error = Layout::from_shapes(&without("gFree.size"), GoVersion::new(1, 27)).unwrap_err();
        assert_eq!(error.to_string(), "runtime.p has no field gFree.n or gFree.size");
        let error = Layout::from_shapes(&|_| Ok(None), GoVersion::new(1, 27)).unwrap_err();
        assert_eq!(error, LayoutError::NoStruct { name: "runtime.g".to_owned() });
    }
}
