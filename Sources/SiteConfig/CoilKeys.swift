import JSONLines
import SiteModel

extension CoilPlan {
    /// The same, but for what a nearer table says: any of the keys of ``CoreSchemas/coil``.
    func overridden(by table: JSONObject) -> CoilPlan {
        var plan = self
        if let rest = table["rest_ms"]?.intValue { plan.rest = .milliseconds(rest) }
        plan.opensPerMinute = table["opens_per_minute"]?.intValue ?? plan.opensPerMinute
        plan.dutyPercent = table["duty_percent"]?.intValue ?? plan.dutyPercent
        if let burst = table["burst_ms"]?.intValue { plan.burst = .milliseconds(burst) }
        return plan
    }
}

/// A table that may say how long a lock is energised and how much its coil takes.
private struct CoilTable {
    /// The table with only right values in it, and as it was written.
    let values: JSONObject
    let raw: JSONObject
    /// Where its file, or else the link's, has a key of it.
    let path: (String) -> Path
    /// How a message begins that is about a key of it: `controller.burst_ms is`.
    let subject: (String) -> String
    /// How a message that is about another table names this one.
    let name: (String) -> String
}

// A coil that takes less on-time at once than its pulse lasts could never be fired.
extension ControllerReader {
    /// Says which two keys clash, for each locker table that has one of them and once for all lockers that have both from
    /// elsewhere.
    func checkBurst(
        _ count: Int?, _ tables: [Int: LockerTable], _ board: BoardProfile?, _ site: CoilPlan,
        into findings: inout Findings
    ) {
        // What a profile would say that is bad or not found is not known.
        guard !hasBadProfile, board != nil || raw["board"] == nil else { return }
        let shared = sharedTables(board, site, findings.lines)
        let written = raw["locker"]?.arrayValue ?? []
        var own: [Int: CoilTable] = [:]
        for (number, table) in tables {
            let raw = written[table.place].objectValue ?? JSONObject()
            guard raw["pulse_ms"] != nil || raw["burst_ms"] != nil else { continue }
            let path = path + [.key("locker"), .index(table.place)]
            own[number] = CoilTable(
                values: table.values, raw: raw, path: { path + [.key($0)] },
                subject: { "controller.locker.\($0) is" }, name: { _ in "" })
        }
        for (_, table) in own.sorted(by: { $0.key < $1.key }) {
            checkBurst([table] + shared, into: &findings)
        }
        if count.map({ own.count < $0 }) ?? true { checkBurst(shared, into: &findings) }
    }

    /// From the nearest table to the farthest.
    private func sharedTables(
        _ board: BoardProfile?, _ site: CoilPlan, _ lines: SourceLines
    ) -> [CoilTable] {
        let path = path
        let controller = CoilTable(
            values: values, raw: raw, path: { path + [.key($0)] },
            subject: { "controller.\($0) is" },
            name: { " (line \(lines.line(of: path + [.key($0)])))" })
        let name = quoted(values["board"]?.stringValue ?? "")
        let profile = board.map { board in
            CoilTable(
                values: board.values, raw: board.values, path: { _ in path + [.key("board")] },
                subject: { "controller.board is \(name), whose \($0) is" },
                name: { _ in " (board profile \(name))" })
        }
        let usual: JSONObject = [
            "pulse_ms": .int(Int64(Self.usualPulse)),
            "burst_ms": .int(Int64(site.burst / .milliseconds(1))),
        ]
        let rest = CoilTable(
            values: usual, raw: usual, path: { _ in path },
            subject: { "controller: \($0) of [coil] in \(SiteFile.name) is" },
            name: { $0 == "pulse_ms" ? " (the default)" : " ([coil] in \(SiteFile.name))" })
        return [controller] + (profile.map { [$0] } ?? []) + [rest]
    }

    private func checkBurst(_ tables: [CoilTable], into findings: inout Findings) {
        // A wrong value is told already; what it was to be cannot be judged.
        guard let pulse = tables.firstIndex(where: { $0.raw["pulse_ms"] != nil }),
            let burst = tables.firstIndex(where: { $0.raw["burst_ms"] != nil }),
            let longest = tables[burst].values["burst_ms"]?.intValue,
            let asked = tables[pulse].values["pulse_ms"]?.intValue, asked > longest
        else { return }
        func name(_ index: Int, _ key: String) -> String {
            pulse == burst && index < tables.count - 1 ? "" : tables[index].name(key)
        }
        if burst <= pulse {
            findings.add(
                tables[burst].path("burst_ms"),
                "\(tables[burst].subject("burst_ms")) \(longest); want at least pulse_ms, which is \(asked)\(name(pulse, "pulse_ms"))"
            )
        } else {
            findings.add(
                tables[pulse].path("pulse_ms"),
                "\(tables[pulse].subject("pulse_ms")) \(asked); want at most burst_ms, which is \(longest)\(name(burst, "burst_ms"))"
            )
        }
    }
}
