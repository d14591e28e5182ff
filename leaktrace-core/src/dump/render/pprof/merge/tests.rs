use super::*;

/// A profile of a program that is mapped at `start`, with so many goroutines in each function.
fn profile(start: u64, counts: &[(&str, i64)]) -> Profile {
    let mut profile = Profile { string_table: vec![String::new()], ..Profile::default() };
    let mut string = |text: &str| {
        profile.string_table.push(text.to_owned());
        i64::try_from(profile.string_table.len()).unwrap() - 1
    };
    let (filename, build_id) = (string("/srv/order"), string("b1"));
    let names: Vec<i64> = counts.iter().map(|(name, _)| string(name)).collect();
    profile.mapping.push(Mapping {
        id: 1,
        memory_start: start,
        memory_limit: start + 0x2000,
        filename,
        build_id,
        ..Mapping::default()
    });
    for (id, (name, (text, count))) in (1..).zip(names.into_iter().zip(counts)) {
        profile.function.push(Function { id, name, system_name: name, filename, start_line: 0 });
        let line = vec![Line { function_id: id, line: 7 }];
        let address = start + text.len() as u64;
        profile.location.push(Location { id, mapping_id: 1, address, line });
        profile.sample.push(Sample { location_id: vec![id], value: vec![*count], label: Vec::new() });
    }
    profile
}

/// The functions of each sample, its value and its labels.
fn told(profile: &Profile) -> Vec<String> {
    let string = |index: i64| profile.string_table[usize::try_from(index).unwrap()].as_str();
    let sample = |sample: &Sample| {
        let location = &profile.location[usize::try_from(sample.location_id[0]).unwrap() - 1];
        let function = &profile.function[usize::try_from(location.line[0].function_id).unwrap() - 1];
        let labels: Vec<String> = sample
            .label
            .iter()
            .map(|label| format!(" {}={}", string(label.key), string(label.str)))
            .collect();
        let (name, address) = (string(function.name), location.address);
        format!("{} {name} {address:#x}{}", sample.value[0], labels.concat())
    };
    profile.sample.iter().map(sample).collect()
}

#[test]
fn a_difference_has_what_came_and_what_went_and_nothing_else() {
    let before = profile(0x40_0000, &[("main.a", 5), ("main.stays", 3), ("main.gone", 2)]);
    let after = profile(0x40_0000, &[("main.new12", 4), ("main.a", 9), ("main.stays", 3)]);
    let mut merge = Merge::new();
    merge.add(&before, -1, &[]);
    merge.add(&after, 1, &[]);
    let difference = merge.finish();
    assert_eq!(told(&difference), ["4 main.a 0x400006", "-2 main.gone 0x400009", "4 main.new12 0x40000a"]);
    assert!(!difference.string_table.iter().any(|text| text == "main.stays"), "nothing refers to it");
    assert_eq!((difference.function.len(), difference.location.len(), difference.mapping.len()), (3, 3, 1));
}

#[test]
fn processes_of_one_file_share_its_places_wherever_it_is_mapped() {
    let mut merge = Merge::new();
    merge.add(&profile(0x5555_0000, &[("main.a", 5)]), 1, &[("exe", "order")]);
    merge.add(&profile(0x7777_0000, &[("main.a", 2)]), 1, &[("exe", "order")]);
    merge.add(&profile(0x7777_0000, &[("main.a", 1)]), 1, &[("exe", "other")]);
    merge.comment("all of 3 processes");
    merge.comment("all of 3 processes");
    assert_eq!(merge.frames(), 2);
    let merged = merge.finish();
    assert_eq!(told(&merged), ["7 main.a 0x55550006 exe=order", "1 main.a 0x55550006 exe=other"]);
    assert_eq!((merged.mapping.len(), merged.comment.len(), merged.period), (1, 1, 1));
    let kind = merged.period_type.unwrap();
    assert_eq!(merged.string_table[usize::try_from(kind.r#type).unwrap()], "goroutine");
}

#[test]
fn of_many_processes_nothing_is_told_but_what_they_are() {
    let mut own = profile(0x40_0000, &[("main.a", 5), ("main.a", 1)]);
    own.sample[0].label.push(Label { key: 1, str: 2 });
    own.comment.push(1);
    let mut merge = Merge::new();
    merge.add_process(own, &[("exe", "order")]);
    let merged = merge.finish();
    assert_eq!(told(&merged), ["6 main.a 0x400006 exe=order"]);
    assert!(merged.comment.is_empty());
}

#[test]
fn nothing_is_a_profile_too() {
    let nothing = Merge::new().finish();
    assert_eq!((nothing.sample.len(), nothing.sample_type.len()), (0, 1));
    assert_eq!(nothing.string_table[0], "");
}

#[test]
fn numbers_that_lead_nowhere_lead_nowhere() {
    let mut wrong = profile(0x40_0000, &[("main.a", i64::MAX)]);
    wrong.sample[0].location_id = vec![1, 9, 0, u64::MAX];
    wrong.location[0].line[0].function_id = 77;
    wrong.location[0].mapping_id = 5;
    wrong.sample[0].label.push(Label { key: -1, str: i64::MAX });
    wrong.comment.push(99);
    let mut merge = Merge::new();
    merge.add(&wrong, 1, &[]);
    merge.add(&wrong, 1, &[]);
    let merged = merge.finish();
    assert_eq!(merged.sample[0].value, [i64::MAX]);
    assert_eq!(merged.sample[0].location_id, [1, 2, 2, 2]);
    assert_eq!((merged.location[0].mapping_id, merged.location[0].line[0].function_id), (0, 0));
}
