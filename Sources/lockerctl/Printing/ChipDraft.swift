import JSONLines

/// A GPIO chip that a scan has found.
struct FoundChip {
    struct Line {
        let offset: Int
        let name: String
        let consumer: String
        let isUsed: Bool
    }

    let path: String
    let name: String
    let label: String
    /// What its own driver calls the device that it is; empty where there is none.
    let device: String
    let lines: [Line]

    init?(_ event: JSON) {
        guard let path = event["path"]?.stringValue, let name = event["name"]?.stringValue,
            let lines = event["lines"]?.arrayValue
        else { return nil }
        self.path = path
        self.name = name
        label = event["label"]?.stringValue ?? ""
        device = event["device"]?.stringValue ?? ""
        self.lines = lines.map { line in
            Line(
                offset: line["offset"]?.intValue ?? 0, name: line["name"]?.stringValue ?? "",
                consumer: line["consumer"]?.stringValue ?? "",
                isUsed: line["used"]?.boolValue ?? true)
        }
    }
}

/// A link file to start from, made of what a scan has found.
///
/// A chip does not say what is wired to it. So the file is right as far as the chip goes, and says what somebody has to find out.
struct ChipDraft {
    let chips: [FoundChip]
    /// Profiles of chips by name.
    let profiles: JSONObject

    var text: String {
        var lines = [
            "# Found by lockerctl scan gpio. Copy to links.d/NAME.toml: NAME becomes the link's name. Leave out chips without locks.",
            "driver = \"gpio-expander\"", "", "[link]",
        ]
        var nextID = 1
        for (place, chip) in chips.enumerated() {
            lines.append("")
            lines += remarks(chip)
            guard let wiring = wiring(of: chip) else {
                lines.append("# No line of it is free for a lock.")
                continue
            }
            lines += controller(chip, place, wiring, nextID)
            nextID += 100
        }
        return lines.map(Output.clean).joined(separator: "\n") + "\n"
    }

    private func remarks(_ chip: FoundChip) -> [String] {
        var lines = ["# \(chip.path): \"\(chip.label)\", \(Words.count(chip.lines.count, "line"))."]
        for line in chip.lines where line.isUsed || !line.name.isEmpty {
            let name = line.name.isEmpty ? "" : " \"\(line.name)\""
            let user = line.consumer.isEmpty ? "somebody" : "\"\(line.consumer)\""
            lines.append(
                "#   line \(line.offset)\(name)" + (line.isUsed ? ", used by \(user)" : ""))
        }
        return lines
    }

    private struct Draft {
        let count: Int
        let firstInput: Int?
    }

    /// Locks on the first half of the lines and sensors on the second, as many as there is room for.
    private func wiring(of chip: FoundChip) -> Draft? {
        let profile = profile(of: chip)?.values["chip"]
        let outputOnly = profile?["output_only"]?.arrayValue?.compactMap(\.intValue) ?? []
        let inputOnly = profile?["input_only"]?.arrayValue?.compactMap(\.intValue) ?? []
        let free = chip.lines.map { !$0.isUsed }
        let half = chip.lines.count / 2
        let both = (0..<half).prefix { line in
            free[line] && free[half + line] && !inputOnly.contains(line)
                && !outputOnly.contains(half + line)
        }
        if !both.isEmpty { return Draft(count: min(both.count, 64), firstInput: half) }
        let locks = free.indices.prefix { free[$0] && !inputOnly.contains($0) }
        return locks.isEmpty ? nil : Draft(count: min(locks.count, 64), firstInput: nil)
    }

    private func profile(of chip: FoundChip) -> (name: String, values: JSON)? {
        for member in profiles.members {
            let labels =
                member.value["chip"]?["labels"]?.arrayValue?.compactMap(\.stringValue) ?? []
            if labels.contains(chip.label) || labels.contains(chip.device) {
                return (member.key, member.value)
            }
        }
        return nil
    }

    private func controller(
        _ chip: FoundChip, _ place: Int, _ wiring: Draft, _ firstID: Int
    ) -> [String] {
        let isUnique = chips.count { $0.label == chip.label } == 1 && !chip.label.isEmpty
        var lines = [
            "[[controller]]", "id = \"chip-\(place)\"",
            "chip = \(JSON.string(isUnique ? chip.label : chip.path).text)",
        ]
        if let profile = profile(of: chip) {
            lines.append(
                "board = \"\(profile.name)\"    # by what the kernel calls it; look at the chip")
            let doubts = profile.values["doubts"]?.arrayValue?.compactMap(\.stringValue) ?? []
            lines += doubts.map { "# Not sure: \($0)" }
        } else {
            lines.append(
                "# No profile knows this chip. If the chip is one of \(profiles.keys.joined(separator: ", ")), say so: board = \"…\""
            )
        }
        lines += [
            "fires_at = \"high\"    # or \"low\": ask the maker of the relay board; lockerctl commission finds out",
            "first_output = 0    # the line of locker 1's lock; the others follow",
        ]
        if let first = wiring.firstInput {
            lines += [
                "first_input = \(first)    # the line of locker 1's door sensor; the others follow",
                "open_level = 0    # of an open door's sensor; lockerctl commission finds out",
            ]
        } else {
            lines.append("sensors = false")
        }
        return lines + [
            "lockers = \(wiring.count)",
            "first_id = \(firstID)    # the site-wide number of its first locker",
        ]
    }
}
