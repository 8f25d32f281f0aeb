import ControlWire
import JSONLines
package import LockerCore
import LockerKit
package import SiteModel

/// Who may do what: the rules of the plan, and the users who need none.
package struct AccessPolicy: Sendable {
    private let rules: [AccessRule]
    private let owners: Set<UInt32>

    /// `owners` are the users who need no rule: root and the daemon's own.
    package init(rules: [AccessRule], owners: Set<UInt32>) {
        self.rules = rules
        self.owners = owners
    }

    /// Everything this peer may do.
    package func grant(to peer: Peer) -> Grant {
        Grant(
            peer: peer, isOwner: owners.contains(peer.uid), mine: rules.filter { $0.matches(peer) },
            all: rules)
    }
}

extension AccessRule {
    fileprivate func matches(_ peer: Peer) -> Bool {
        isForEverybody || uids.contains(peer.uid)
            || gids.contains { $0 == peer.gid || peer.groups.contains($0) }
    }

    fileprivate var isUnlimited: Bool { controllers.isEmpty && banks.isEmpty }

    fileprivate func covers(controller: String, bank: String?) -> Bool {
        (controllers.isEmpty || controllers.contains(controller))
            && (banks.isEmpty || bank.map(banks.contains) ?? false)
    }

    /// ` for bank "east" only`, or nothing.
    fileprivate var limits: String {
        let controllers = controllers.map { "controller \"\($0)\"" }
        let banks = banks.map { "bank \"\($0)\"" }
        let both = [controllers, banks].filter { !$0.isEmpty }.map { $0.joined(separator: ", ") }
        return both.isEmpty ? "" : " for \(both.joined(separator: " within ")) only"
    }
}

/// What one peer may do.
///
/// A peer holds every right that any rule for it gives; a rule that is limited to controllers and to banks gives its rights
/// where both hold.
package struct Grant: Sendable {
    package let peer: Peer
    private let isOwner: Bool
    private let mine: [AccessRule]
    private let all: [AccessRule]
    /// Every locker may be looked at; asked for with each `status`.
    package let seesEverything: Bool

    fileprivate init(peer: Peer, isOwner: Bool, mine: [AccessRule], all: [AccessRule]) {
        self.peer = peer
        self.isOwner = isOwner
        self.mine = mine
        self.all = all
        seesEverything =
            isOwner || mine.contains { $0.rights.contains(.view) && $0.isUnlimited }
    }

    /// Whether the right is held for at least some locker.
    package func holds(_ right: Right) -> Bool {
        isOwner || mine.contains { $0.rights.contains(right) }
    }

    /// Whether the right is held for the whole site.
    package func holdsEverywhere(_ right: Right) -> Bool {
        isOwner || mine.contains { $0.rights.contains(right) && $0.isUnlimited }
    }

    package func holds(_ right: Right, controller: String, bank: String?) -> Bool {
        isOwner
            || mine.contains {
                $0.rights.contains(right) && $0.covers(controller: controller, bank: bank)
            }
    }

    package func sees(_ locker: LockerView) -> Bool {
        seesEverything || holds(.view, controller: locker.controller, bank: locker.bank)
    }

    package func sees(_ controller: ControllerView) -> Bool {
        seesEverything || holds(.view, controller: controller.id, bank: controller.bank)
    }

    // MARK: Refusals

    /// Throws unless the right is held for some locker. `verb` is what the peer wanted: `reload the configuration`.
    func require(_ right: Right, to verb: String) throws(ControlFault) {
        guard holds(right) else { throw refusal(right, verb) }
    }

    func requireEverywhere(_ right: Right, to verb: String) throws(ControlFault) {
        guard holdsEverywhere(right) else { throw refusal(right, verb) }
    }

    func require(
        _ right: Right, to verb: String, controller: String, bank: String?
    ) throws(ControlFault) {
        guard holds(right, controller: controller, bank: bank) else { throw refusal(right, verb) }
    }

    /// `uid 1000 may not open wall/3; it needs the right "operate", which control.rule[1] (group kiosk) gives for bank
    /// "east" only`
    private func refusal(_ right: Right, _ verb: String) -> ControlFault {
        var details: JSONObject = [
            "uid": .int(Int64(peer.uid)), "right": .string(right.rawValue),
        ]
        let why: String
        if let rule = mine.first(where: { $0.rights.contains(right) }) {
            why = "which \(rule.name) gives\(rule.limits)"
            details["rule"] = .string(rule.name)
        } else if let rule = all.first(where: { $0.rights.contains(right) }) {
            why = "which \(rule.name) gives to others"
            details["rule"] = .string(rule.name)
        } else {
            why = "which no rule gives; a [[control.rule]] in lockerd.toml can"
        }
        return ControlFault(
            code: LockerError.Code.notPermitted.rawValue,
            "uid \(peer.uid) may not \(verb); it needs the right \"\(right.rawValue)\", \(why)",
            details: details)
    }
}
