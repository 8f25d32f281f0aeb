import JSONLines
import SiteModel

/// Turns one checked `[[controller]]` table into a plan, as far as it can be read safely.
struct ControllerReader {
    /// How long a lock is energised of which no file says it, in milliseconds.
    static let usualPulse = 200

    /// The table with only right values in it.
    let values: JSONObject
    /// The table as it was written: tells an absent key from a wrong one.
    let raw: JSONObject
    let place: Int
    let module: Module?
    /// The profile could not be used, so what it would say is not missing here.
    private(set) var hasBadProfile = false

    var path: Path { [.key("controller"), .index(place)] }

    init(values: JSONObject, raw: JSONObject, place: Int, module: Module?) {
        self.values = values
        self.raw = raw
        self.place = place
        self.module = module
    }

    mutating func read(into link: inout LinkFile, _ reader: inout LinkReader) {
        let board = profile(into: &link.findings, &reader.catalog)
        checkPower(into: &link.findings, reader.supplyNames)
        let timing = timing(into: &link.findings)
        let count = count(board, into: &link.findings)
        let tables = lockerTables(count, into: &link.findings)
        checkBurst(count, tables, board, reader.coil, into: &link.findings)
        guard let id = values["id"]?.stringValue else { return }
        var controller = ControllerPlan(
            id: id, bank: values["bank"]?.stringValue, supplyGroup: supplyGroup(reader),
            options: own(values, module?.controller, CoreSchemas.controller.keys + ["locker"]),
            board: board?.values ?? JSONObject(), poll: timing.poll, staleAfter: timing.stale,
            doorWait: timing.doorWait)
        if let count, let firstID = values["first_id"]?.intValue {
            if count + link.lockerCount > ConfigLimits.lockersPerLink {
                link.findings.add(
                    path + [.key("lockers")],
                    "controller \(quoted(id)) brings the link above \(ConfigLimits.lockersPerLink) lockers"
                )
            } else if count > reader.room {
                link.findings.add(
                    path + [.key("lockers")],
                    "controller \(quoted(id)) brings the site above \(ConfigLimits.lockersPerSite) lockers"
                )
            } else if firstID + count - 1 > ConfigLimits.highestLockerID {
                link.findings.add(
                    path + [.key("first_id")],
                    "controller.first_id is \(firstID); with \(count) lockers want at most \(ConfigLimits.highestLockerID - count + 1)"
                )
            } else {
                reader.room -= count
                controller.lockers = lockers(count, firstID: firstID, tables, board, reader)
            }
        }
        link.plan.controllers.append(controller)
        link.places.append(place)
        link.lockerPlaces.append(tables.mapValues(\.place))
    }

    // MARK: Keys of the controller

    /// The module's own keys of a table.
    private func own(_ values: JSONObject, _ schema: Schema?, _ core: [String]) -> JSONObject {
        JSONObject(
            values.members.filter { member in
                schema.map { $0[member.key] != nil } ?? !core.contains(member.key)
            })
    }

    private func supplyGroup(_ reader: LinkReader) -> String? {
        guard let power = values["power"]?.stringValue else { return nil }
        return reader.supplyNames?.contains(power) == true ? power : nil
    }

    private func checkPower(into findings: inout Findings, _ names: Set<String>?) {
        guard let power = values["power"]?.stringValue, let names, !names.contains(power) else {
            return
        }
        let near = nearest(power, in: names).map { "; did you mean \(quoted($0))?" } ?? ""
        findings.add(
            path + [.key("power")],
            "controller.power is \(quoted(power)); \(SiteFile.name) has no [power.\(power)]\(near)")
    }

    private func timing(
        into findings: inout Findings
    ) -> (poll: Duration, stale: Duration, doorWait: Duration) {
        let poll = values["poll_ms"]?.intValue ?? 500
        let stale = values["stale_after_ms"]?.intValue ?? max(2000, 4 * poll)
        if stale < poll {
            findings.add(
                path + [.key("stale_after_ms")],
                "controller.stale_after_ms is \(stale); want at least poll_ms, which is \(poll)")
        }
        let doorWait = values["door_wait_ms"]?.intValue ?? 3000
        return (.milliseconds(poll), .milliseconds(stale), .milliseconds(doorWait))
    }

    // MARK: The board profile

    private mutating func profile(
        into findings: inout Findings, _ catalog: inout ModuleCatalog
    ) -> BoardProfile? {
        guard let module else { return nil }
        guard let name = values["board"]?.stringValue else {
            let required = module.board.rules.filter(\.rule.required).map(\.key)
            if raw["board"] == nil && !required.isEmpty {
                findings.add(
                    path,
                    "controller.board is missing; want the name of a board profile for \(module.plan.name)"
                )
            }
            return nil
        }
        let path = path + [.key("board")]
        guard !module.board.keys.isEmpty else {
            findings.add(
                path,
                "controller.board is \(quoted(name)); driver \(module.plan.name) uses no board profiles"
            )
            return nil
        }
        hasBadProfile = true
        switch catalog.board(name, for: module) {
        case .found(let profile):
            hasBadProfile = false
            return profile
        case .broken(let profile, let problems):
            findings.add(path, "controller.board is \(quoted(name)); that profile cannot be used")
            for problem in problems { findings.add(problem) }
            return profile
        case .missing(let searched):
            findings.add(path, "controller.board is \(quoted(name)); no such profile: \(searched)")
            return nil
        }
    }

    // MARK: Lockers

    private func count(_ board: BoardProfile?, into findings: inout Findings) -> Int? {
        let said = values["lockers"]?.intValue
        if let said, let has = board?.lockers, said > has {
            findings.add(
                path + [.key("lockers")],
                "controller.lockers is \(said); board \(quoted(values["board"]?.stringValue ?? "")) has \(has)"
            )
            return has
        }
        if let said { return said }
        if raw["lockers"] != nil { return nil }
        if let has = board?.lockers { return has }
        // Without its module or profile nobody can tell whether the key is needed.
        let isNameWrong = raw["board"] != nil && values["board"] == nil
        if module != nil && !hasBadProfile && !isNameWrong {
            findings.add(
                path,
                "controller.lockers is missing; want 1-\(ConfigLimits.lockersPerController), or a board profile that has it"
            )
        }
        return nil
    }

    typealias LockerTable = (place: Int, values: JSONObject)

    /// The `[[controller.locker]]` tables by number.
    private func lockerTables(
        _ count: Int?, into findings: inout Findings
    ) -> [Int: LockerTable] {
        var tables: [Int: LockerTable] = [:]
        for (place, table) in (values["locker"]?.arrayValue ?? []).enumerated() {
            guard let table = table.objectValue, let number = table["number"]?.intValue else {
                continue
            }
            let path = path + [.key("locker"), .index(place), .key("number")]
            if let count, number > count {
                findings.add(
                    path,
                    "controller.locker.number is \(number); the controller has lockers 1-\(count)")
            } else if let other = tables[number] {
                let line = findings.lines.line(
                    of: self.path + [.key("locker"), .index(other.place), .key("number")])
                findings.add(
                    path, "controller.locker.number is \(number); line \(line) has it already")
            } else {
                tables[number] = (place, table)
            }
        }
        checkAbsentTables(tables, count, into: &findings)
        return tables
    }

    /// A driver may want something said of every single locker.
    private func checkAbsentTables(
        _ tables: [Int: LockerTable], _ count: Int?, into findings: inout Findings
    ) {
        guard let count, let wanted = module?.locker.rules.first(where: \.rule.required),
            let absent = (1...count).first(where: { tables[$0] == nil })
        else { return }
        findings.add(
            path,
            "controller.locker is missing for number \(absent); want a table with \(wanted.key) for each locker"
        )
    }

    private func lockers(
        _ count: Int, firstID: Int, _ tables: [Int: LockerTable], _ board: BoardProfile?,
        _ reader: LinkReader
    ) -> [LockerPlan] {
        let sensors = values["sensors"]?.boolValue ?? true
        let pulse = values["pulse_ms"]?.intValue ?? board?.pulse ?? Self.usualPulse
        let coil = reader.coil.overridden(by: board?.values ?? JSONObject())
            .overridden(by: values)
        let defaults = JSONObject(
            (module?.locker.rules ?? []).compactMap { entry in
                entry.rule.condition == nil
                    ? entry.rule.fallback.map { JSONObject.Member(key: entry.key, value: $0) } : nil
            })
        return (1...count).map { number in
            let table = tables[number]?.values
            let type = table?["type"]?.stringValue
            return LockerPlan(
                id: table?["id"]?.intValue ?? firstID + number - 1, number: number,
                name: table?["name"]?.stringValue,
                hasSensor: table?["sensor"]?.boolValue ?? sensors,
                type: type,
                inOpenAll: table?["open_all"]?.boolValue ?? true,
                pulse: .milliseconds(table?["pulse_ms"]?.intValue ?? pulse),
                coil: table.map(coil.overridden(by:)) ?? coil,
                isAlwaysOutOfService: type.map(reader.closedTypes.contains) ?? false,
                options: table.map { own($0, module?.locker, CoreSchemas.locker.keys) } ?? defaults)
        }
    }
}
