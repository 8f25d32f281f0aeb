import JSONLines
import SiteModel

/// What only shows when all files lie side by side.
///
/// An id that two files claim is the problem of both: nobody can know which of them is right, and the wrong answer opens
/// another door. Only a link that is among `running`, exactly as its file says now, keeps what it has: a file that comes to it
/// must not end a link that serves.
enum SiteChecks {
    private struct Claim {
        /// The file, by its place among all.
        let link: Int
        let controller: String
        /// What is claimed, in that file.
        let path: Path
        /// `links.d/a.toml:9`.
        let place: String
    }

    static func run(_ links: inout [LinkFile], running: [LinkPlan] = []) {
        let order = order(of: links, running)
        checkEndpoints(&links, order.all)
        var controllers: [String: Claim] = [:]
        var lockers: [Int: Claim] = [:]
        var disputes = Disputes(settled: order.settled)
        for index in order.all {
            // Also a controller whose own id is taken claims its lockers: they are disputed all the same.
            for controller in links[index].plan.controllers.indices {
                claim(controller, of: index, &links, &lockers, &disputes)
            }
            dropTakenControllers(index, &links, &controllers, &disputes)
        }
        for dispute in disputes.all {
            links[dispute.claim.link].findings.add(
                dispute.claim.path, "\(dispute.what), which \(dispute.others) claims too")
        }
    }

    /// Claims of earlier files that a later file makes too.
    private struct Disputes {
        /// Files whose claims stand.
        let settled: Set<Int>
        private(set) var all: [(claim: Claim, what: String, others: String)] = []

        init(settled: [Int]) {
            self.settled = Set(settled)
        }

        mutating func add(_ claim: Claim, from link: Int, what: String, others: String) {
            guard claim.link != link, !settled.contains(claim.link) else { return }
            all.append((claim, what, others))
        }
    }

    /// Places of the files in the order in which they may claim: first those that run unchanged, whose claims stand.
    private static func order(
        of links: [LinkFile], _ running: [LinkPlan]
    ) -> (all: [Int], settled: [Int]) {
        let known = Dictionary(running.map { ($0.name, $0) }) { first, _ in first }
        func isRunning(_ index: Int) -> Bool {
            links[index].findings.isEmpty && known[links[index].plan.name] == links[index].plan
        }
        let settled = links.indices.filter(isRunning)
        return (settled + links.indices.filter { !isRunning($0) }, settled)
    }

    // MARK: Endpoints

    private static func checkEndpoints(_ links: inout [LinkFile], _ order: [Int]) {
        var seen: [String: String] = [:]
        for index in order {
            let link = links[index]
            guard !link.endpoint.members.isEmpty else { continue }
            let what = link.endpoint.members.map { "\($0.key) = \(literal($0.value))" }
                .joined(separator: ", ")
            let key = "\(link.plan.driver) \(JSON.object(link.endpoint).text)"
            if let other = seen[key] {
                links[index].findings.add(
                    [.key("link")], "link goes to \(what) as \(other) does; want one link for each")
            } else {
                seen[key] = link.file
            }
        }
    }

    // MARK: Controllers

    private static func dropTakenControllers(
        _ index: Int, _ links: inout [LinkFile], _ claims: inout [String: Claim],
        _ disputes: inout Disputes
    ) {
        var kept: [Int] = []
        for (number, controller) in links[index].plan.controllers.enumerated() {
            let path = links[index].path(number) + [.key("id")]
            let place =
                "\(links[index].file):\(links[index].findings.lines.line(of: path))"
            let what = "controller.id is \(quoted(controller.id))"
            if let first = claims[controller.id] {
                links[index].findings.add(path, "\(what); \(first.place) has it already")
                disputes.add(first, from: index, what: what, others: place)
            } else {
                claims[controller.id] = Claim(
                    link: index, controller: controller.id, path: path, place: place)
                kept.append(number)
            }
        }
        let link = links[index]
        links[index].plan.controllers = kept.map { link.plan.controllers[$0] }
        links[index].places = kept.map { link.places[$0] }
        links[index].lockerPlaces = kept.map { link.lockerPlaces[$0] }
    }

    // MARK: Lockers

    private static func claim(
        _ number: Int, of index: Int, _ links: inout [LinkFile], _ claims: inout [Int: Claim],
        _ disputes: inout Disputes
    ) {
        let link = links[index]
        let controller = link.plan.controllers[number]
        let path = link.path(number)
        let first = path + [.key("first_id")]
        let me = Claim(
            link: index, controller: controller.id, path: first,
            place: "\(link.file):\(link.findings.lines.line(of: first))")
        var kept: [LockerPlan] = []
        var overlaps: [String: (claim: Claim, ids: [Int])] = [:]
        // Ids that a table gives come last: where one hits the regular range, the table is at fault.
        let named = link.lockerPlaces[number]
        for locker in controller.lockers.sorted(by: {
            isRegular($0, named) && !isRegular($1, named)
        }) {
            guard let owner = claims[locker.id] else {
                claims[locker.id] = me
                kept.append(locker)
                continue
            }
            if let place = named[locker.number],
                let own = exactPath(path, place, in: link.findings.lines)
            {
                let what = "controller.locker.id is \(locker.id)"
                links[index].findings.add(
                    own,
                    "\(what); controller \(quoted(owner.controller)) (\(owner.place)) has it already"
                )
                disputes.add(
                    owner, from: index, what: "it has locker \(locker.id)",
                    others: "\(link.file):\(link.findings.lines.line(of: own))")
            } else {
                overlaps[owner.place, default: (owner, [])].ids.append(locker.id)
            }
        }
        for (owner, ids) in overlaps.values.sorted(by: { $0.claim.place < $1.claim.place }) {
            links[index].findings.add(
                first,
                "controller \(quoted(controller.id)) overlaps controller \(quoted(owner.controller)) (\(owner.place)): both have locker \(ranges(ids))"
            )
            disputes.add(
                owner, from: index,
                what: "controller \(quoted(owner.controller)) has locker \(ranges(ids))",
                others: "controller \(quoted(controller.id)) (\(me.place))")
        }
        links[index].plan.controllers[number].lockers = kept.sorted { $0.number < $1.number }
    }

    private static func isRegular(_ locker: LockerPlan, _ named: [Int: Int]) -> Bool {
        named[locker.number] == nil
    }

    /// The path of a locker table's `id` where the table has one.
    private static func exactPath(_ controller: Path, _ place: Int, in lines: SourceLines) -> Path?
    {
        let path = controller + [.key("locker"), .index(place), .key("id")]
        return lines.exactLine(of: path) == nil ? nil : path
    }

    // MARK: Access rules

    /// Names in access rules should exist. It is no more than advice: a rule grants nothing on what is not there. Not judged while
    /// a link is faulted, for what its file would bring is not known.
    static func checkRules(_ site: inout SiteFile, _ links: [LinkFile]) {
        guard let plan = site.plan, links.allSatisfy(\.findings.isEmpty) else { return }
        let controllers = links.flatMap(\.plan.controllers)
        let ids = Set(controllers.map(\.id))
        let banks = Set(controllers.compactMap(\.bank))
        for (index, rule) in plan.control.rules.enumerated() {
            let path: Path = [.key("control"), .key("rule"), .index(index)]
            let wanted = [
                ("controllers", "controller", rule.controllers, ids),
                ("banks", "bank", rule.banks, banks),
            ]
            for (key, what, names, known) in wanted {
                for name in names where !known.contains(name) {
                    let near = nearest(name, in: known).map { "; did you mean \(quoted($0))?" }
                    site.findings.add(
                        path + [.key(key)], isAdvice: true,
                        "control.rule.\(key) has \(quoted(name)); no link has such a \(what)\(near ?? "")"
                    )
                }
            }
        }
    }
}

/// `101-104, 108`.
func ranges(_ numbers: [Int]) -> String {
    var parts: [ClosedRange<Int>] = []
    for number in numbers.sorted() {
        if let last = parts.last, last.upperBound == number - 1 {
            parts[parts.count - 1] = last.lowerBound...number
        } else {
            parts.append(number...number)
        }
    }
    let shown = parts.prefix(8).map {
        $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
    }
    return shown.joined(separator: ", ") + (parts.count > 8 ? ", …" : "")
}
