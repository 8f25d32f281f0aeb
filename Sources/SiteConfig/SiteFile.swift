import JSONLines
import SiteModel

/// `lockerd.toml`, checked by itself. The links are still missing.
struct SiteFile {
    static let name = "lockerd.toml"

    var findings: Findings
    /// Nil when the file gave no tree.
    var plan: SitePlan?
    /// The supply groups that the file names, also those with a wrong value; nil when the file gave no tree.
    var supplyNames: Set<String>?
    /// What `[coil]` says, for locks of which nothing nearer says otherwise.
    var coil = CoilPlan()
    /// Types of locker that never serve, as their `[type.NAME]` says.
    var closedTypes: Set<String> = []

    /// Reads the keys that do not depend on modules.
    static func read(
        directory: String, moduleDirectories: [String], accounts: Accounts
    ) -> (file: SiteFile, uplinks: [RawUplink]) {
        let path = "\(directory)/\(name)"
        switch Document.read(path, as: name) {
        case .failure(let failure):
            var findings = Findings(file: name)
            let problem = failure.problem
            let message = failure.isMissing ? "\(path) \(problem.message)" : problem.message
            findings.add(Problem(file: name, line: problem.line, message: message))
            return (SiteFile(findings: findings), [])
        case .success(let document):
            var checker = SchemaChecker(Findings(file: name, lines: document.lines))
            let values = checker.table(document.root, by: CoreSchemas.site)
            var file = SiteFile(findings: checker.findings)
            file.fill(
                values, directory: directory, moduleDirectories: moduleDirectories,
                accounts: accounts)
            file.supplyNames = Set(document.root["power"]?.objectValue?.keys ?? [])
            let uplinks = values["uplink"]?.arrayValue ?? []
            return (file, uplinks.enumerated().map { RawUplink(place: $0, values: $1) })
        }
    }

    private mutating func fill(
        _ values: JSONObject, directory: String, moduleDirectories: [String], accounts: Accounts
    ) {
        var plan = SitePlan(site: values["site"]?.stringValue ?? "")
        plan.moduleDirectories =
            values["module_dirs"]?.arrayValue?.compactMap(\.stringValue)
            .map { resolve($0, in: directory) } ?? moduleDirectories
        plan.stateDirectory = values["state"]?.stringValue.map { resolve($0, in: directory) }
        plan.control = control(values["control"] ?? .object(JSONObject()), accounts)
        plan.doors = Self.doors(values["doors"]?.objectValue ?? JSONObject())
        coil = coil.overridden(by: values["coil"]?.objectValue ?? JSONObject())
        readTypes(values["type"]?.objectValue ?? JSONObject())
        for (name, group) in (values["power"]?.objectValue?.members ?? []).map({
            ($0.key, $0.value)
        }) {
            if !Rule.Form.name.accepts(name) {
                findings.add(
                    [.key("power"), .key(name)],
                    "power.\(quoted(name)) is no name for a supply group; want \(Rule.Form.name.wanted)"
                )
            }
            if let atOnce = group["at_once"]?.intValue, let gap = group["gap_ms"]?.intValue {
                plan.supplyGroups[name] = SupplyGroup(atOnce: atOnce, gap: .milliseconds(gap))
            }
        }
        if let every = values["heartbeat"]?["every_s"]?.intValue {
            plan.heartbeat = HeartbeatPlan(every: .seconds(every))
        }
        self.plan = plan
    }

    // MARK: Doors and types

    private static func doors(_ values: JSONObject) -> DoorPlan {
        var plan = DoorPlan()
        if let late = values["late_ms"]?.intValue { plan.late = .milliseconds(late) }
        if let held = values["held_ms"]?.intValue { plan.held = .milliseconds(held) }
        plan.suspectPulses = values["suspect_pulses"]?.intValue ?? plan.suspectPulses
        plan.suspectFlips = values["suspect_flips"]?.intValue ?? plan.suspectFlips
        if let window = values["suspect_window_ms"]?.intValue {
            plan.suspectWindow = .milliseconds(window)
        }
        return plan
    }

    private mutating func readTypes(_ types: JSONObject) {
        for type in types.members {
            // No locker could have such a type.
            if !Rule.Form.text.accepts(type.key) {
                findings.add(
                    [.key("type"), .key(type.key)],
                    "type.\(quoted(type.key)) is no type of locker; want \(Rule.Form.text.wanted)")
            }
            if type.value["always_out_of_service"]?.boolValue == true {
                closedTypes.insert(type.key)
            }
        }
    }

    // MARK: The control socket

    private mutating func control(_ values: JSON, _ accounts: Accounts) -> ControlPlan {
        var plan = ControlPlan()
        if let socket = values["socket"]?.stringValue {
            plan.socket = socket
            // The kernel's sockaddr_un holds 108 bytes with the closing NUL.
            if !socket.hasPrefix("/") || socket.utf8.count > 107 {
                findings.add(
                    [.key("control"), .key("socket")],
                    "control.socket is \(quoted(socket)); want an absolute path of at most 107 bytes"
                )
            }
        }
        if let group = values["group"] {
            plan.group = group.stringValue ?? group.intValue.map(String.init)
            if let name = group.stringValue, accounts.gid(name) == nil {
                // Advice, because it is for the socket to fail on it: a name service that is late may know it at the next start.
                stranger(name, kind: "group", at: [.key("control"), .key("group")])
            }
        }
        plan.maximumClients = values["max_clients"]?.intValue ?? plan.maximumClients
        for (index, rule) in (values["rule"]?.arrayValue ?? []).enumerated() {
            plan.rules.append(accessRule(rule, index, accounts))
        }
        return plan
    }

    private mutating func accessRule(
        _ values: JSON, _ index: Int, _ accounts: Accounts
    ) -> AccessRule {
        let path: Path = [.key("control"), .key("rule"), .index(index)]
        let users = values["users"]?.arrayValue ?? []
        let groups = values["groups"]?.arrayValue ?? []
        let who =
            users.map { "user \($0.stringValue ?? $0.text)" }
            + groups.map { "group \($0.stringValue ?? $0.text)" }
        var rule = AccessRule(
            name:
                "control.rule[\(index)] (\(who.isEmpty ? "everybody" : who.joined(separator: ", ")))",
            rights: Set(
                (values["rights"]?.arrayValue ?? []).compactMap {
                    $0.stringValue.flatMap(Right.init(rawValue:))
                }),
            controllers: (values["controllers"]?.arrayValue ?? []).compactMap(\.stringValue),
            banks: (values["banks"]?.arrayValue ?? []).compactMap(\.stringValue))
        rule.uids = ids(
            of: users, at: path + [.key("users")], kind: "user", accounts.uid, &rule.strangers)
        rule.gids = ids(
            of: groups, at: path + [.key("groups")], kind: "group", accounts.gid, &rule.strangers)
        return rule
    }

    /// The numbers of the accounts that a rule names. A name that nobody knows, be it for a name service that is down, must
    /// keep no door shut to all others: it is told, and put among the strangers, whom the rule gives nothing.
    private mutating func ids(
        of accounts: [JSON], at path: Path, kind: String, _ lookUp: (String) -> UInt32?,
        _ strangers: inout [String]
    ) -> [UInt32] {
        var ids: [UInt32] = []
        for (index, account) in accounts.enumerated() {
            let name = account.stringValue
            if let id = name.map(lookUp) ?? account.intValue.flatMap(UInt32.init(exactly:)) {
                ids.append(id)
            } else {
                strangers.append("\(kind) \(name ?? account.text)")
                stranger(name ?? account.text, kind: kind, at: path + [.index(index)])
            }
        }
        return ids
    }

    private mutating func stranger(_ name: String, kind: String, at path: Path) {
        findings.add(
            path, isAdvice: true,
            "\(path.text) is \(quoted(name)); want a \(kind) that this machine knows")
    }
}

// MARK: Uplinks

/// One `[[uplink]]` before its module is known.
struct RawUplink {
    let place: Int
    let values: JSON

    init(place: Int, values: JSON) {
        self.place = place
        self.values = values
    }
}

extension SiteFile {
    /// Checks each uplink against its module and adds it to the plan.
    ///
    /// Whatever is wrong with one is advice: no door may stay shut because monitoring is broken. The plan has such an
    /// uplink without its module.
    mutating func add(
        _ uplinks: [RawUplink], _ catalog: inout ModuleCatalog, directory: String
    ) {
        var lineOfName: [String: Int] = [:]
        for uplink in uplinks {
            let path: Path = [.key("uplink"), .index(uplink.place)]
            var own = Findings(file: findings.file, lines: findings.lines)
            var added = Self.uplink(uplink, at: path, into: &own, &catalog, directory: directory)
            let found = own.sorted
            for problem in found { findings.add(problem.asAdvice) }
            if let reason = found.first(where: { !$0.isAdvice }) {
                added.module = nil
                added.problem = reason.description
            }
            if let line = lineOfName[added.name] {
                findings.add(
                    path + [.key("name")], isAdvice: true,
                    "uplink.name is \(quoted(added.name)); the uplink of line \(line) has it already"
                )
            } else {
                lineOfName[added.name] = findings.lines.line(of: path)
                plan?.uplinks.append(added)
            }
        }
    }

    private static func uplink(
        _ uplink: RawUplink, at path: Path, into findings: inout Findings,
        _ catalog: inout ModuleCatalog, directory: String
    ) -> UplinkPlan {
        let object = uplink.values.objectValue ?? JSONObject()
        let module = object["module"]?.stringValue.flatMap { name -> Module? in
            guard Rule.Form.name.accepts(name) else { return nil }
            return findings.module(
                name, .uplink, at: path + [.key("module")], key: "uplink.module", &catalog)
        }
        let schema = CoreSchemas.uplink.merged(with: module?.uplink ?? Schema(isOpen: true))
        var checker = SchemaChecker(findings)
        let checked = checker.table(object, by: schema, at: path)
        findings = checker.findings
        let own = checked.members.filter { CoreSchemas.uplink[$0.key] == nil }.map { member in
            guard member.key.hasSuffix("_file"), let file = member.value.stringValue else {
                return member
            }
            let resolved = resolve(file, in: directory)
            if let reason = unreadable(resolved) {
                findings.add(
                    path + [.key(member.key)], isAdvice: true,
                    "uplink.\(member.key): \(resolved) cannot be read: \(reason)")
            }
            return JSONObject.Member(key: member.key, value: .string(resolved))
        }
        return UplinkPlan(
            name: checked["name"]?.stringValue ?? checked["module"]?.stringValue
                ?? "uplink-\(uplink.place + 1)",
            module: module?.plan, options: JSONObject(own))
    }
}

extension Findings {
    /// Looks a module up and says what is wrong where it cannot be used.
    mutating func module(
        _ name: String, _ kind: ModulePlan.Kind, at path: Path, key: String,
        _ catalog: inout ModuleCatalog
    ) -> Module? {
        switch catalog.module(name) {
        case .found(let module) where module.plan.kind == kind:
            if let refusal = catalog.vetting(module.plan) {
                add(path, "\(key) is \(quoted(name)), which will not be run: \(refusal)")
            }
            return module
        case .found(let module):
            add(
                path,
                "\(key) is \(quoted(name)), which is of kind \(module.plan.kind.rawValue); want \(kind.rawValue)"
            )
        case .broken(let problems):
            add(path, "\(key) is \(quoted(name)); its module.toml cannot be used")
            for problem in problems { add(problem) }
        case .missing(let searched):
            add(path, "\(key) is \(quoted(name)); no such module: \(searched)")
        }
        return nil
    }
}
