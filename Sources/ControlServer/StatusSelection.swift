import ControlWire
import JSONLines
import LockerCore
import LockerKit
import SiteModel

extension StatusEncoder {
    /// Which lockers a `status` is about; what is given narrows it.
    struct Selection: Sendable {
        var lockers: [LockerSelector]?
        var controller: String?
        var bank: String?

        /// Nothing narrows it.
        var isWhole: Bool { lockers == nil && controller == nil && bank == nil }

        init(
            lockers: [LockerSelector]? = nil, controller: String? = nil, bank: String? = nil
        ) {
            self.lockers = lockers
            self.controller = controller
            self.bank = bank
        }
    }

    /// The rows that a selection comes to, for one peer.
    struct Chosen {
        /// In the order in which they were asked for, else by id.
        var lockers: [Int] = []
        /// Those the lockers belong to; for the whole site all.
        var controllers: [Int] = []

        init(
            _ selection: Selection, _ contents: borrowing Snapshot.Contents, _ grant: Grant
        ) throws(ControlFault) {
            try contents.checkScope(controller: selection.controller, bank: selection.bank)
            if let id = selection.controller, let index = contents.controllerIndex(id),
                !grant.sees(contents.controllers[index].view)
            {
                try grant.require(
                    .view, to: "see controller \(id)", controller: id,
                    bank: contents.controllers[index].view.bank)
            }
            lockers = try Self.lockers(selection, contents, grant)
            if selection.isWhole {
                controllers = contents.controllers.indices.filter {
                    grant.sees(contents.controllers[$0].view)
                }
            } else {
                var concerned: Set<Int> = []
                for index in lockers {
                    let id = contents.lockers[index].view.controller
                    if let index = contents.controllerIndex(id) { concerned.insert(index) }
                }
                if selection.lockers == nil, let id = selection.controller,
                    let index = contents.controllerIndex(id)
                {
                    concerned.insert(index)
                }
                controllers = concerned.sorted()
            }
        }

        private static func lockers(
            _ selection: Selection, _ contents: borrowing Snapshot.Contents, _ grant: Grant
        ) throws(ControlFault) -> [Int] {
            let found = try selection.indices(in: contents)
            guard !grant.seesEverything else { return found }
            guard selection.lockers != nil else {
                return found.filter { grant.sees(contents.lockers[$0].view) }
            }
            // What was asked for by name is refused, not left out.
            for index in found {
                let view = contents.lockers[index].view
                try grant.require(
                    .view, to: "see \(view.identity.address)", controller: view.controller,
                    bank: view.bank)
            }
            return found
        }
    }
}

extension StatusEncoder.Selection {
    /// The rows it comes to, each once: in the order in which they were asked for, else by id.
    func indices(in contents: borrowing Snapshot.Contents) throws(ControlFault) -> [Int] {
        guard let selectors = lockers else {
            if controller == nil, bank == nil { return Array(contents.lockers.indices) }
            return contents.lockers.indices.filter { narrows(contents.lockers[$0].view) }
        }
        var seen: Set<Int> = []
        var found: [Int] = []
        for selector in selectors {
            guard let index = contents.lockerIndex(selector) else {
                throw .unknownLocker(selector)
            }
            if narrows(contents.lockers[index].view), seen.insert(index).inserted {
                found.append(index)
            }
        }
        return found
    }

    private func narrows(_ view: LockerView) -> Bool {
        (controller == nil || view.controller == controller) && (bank == nil || view.bank == bank)
    }
}

extension Snapshot.Contents {
    /// Throws where a scope names a controller or a bank that does not exist.
    func checkScope(controller: String?, bank: String?) throws(ControlFault) {
        if let controller, controllerIndex(controller) == nil {
            throw .unknownController(controller, among: controllers.map(\.view.id))
        }
        if let bank, !controllers.contains(where: { $0.view.bank == bank }) {
            let banks = Set(controllers.compactMap(\.view.bank)).sorted()
            let hint = Nearest.word(to: bank, among: banks).map { "; did you mean \($0)?" } ?? ""
            throw ControlFault(
                code: LockerError.Code.invalidRequest.rawValue,
                "no bank \(ControlFault.excerpt(bank))\(hint)",
                details: ["banks": .array(banks.prefix(32).map(JSON.string))])
        }
    }
}

extension Grant {
    /// The causes that concern what the peer may see; the level is the site's.
    func visible(_ health: Health, _ contents: borrowing Snapshot.Contents) -> Health {
        var shown = health
        shown.causes = []
        for cause in health.causes {
            if let index = contents.controllerIndex(cause.subject) {
                guard sees(contents.controllers[index].view) else { continue }
            } else if let index = contents.lockerIndex(address: cause.subject) {
                guard sees(contents.lockers[index].view) else { continue }
            }
            shown.causes.append(cause)
        }
        return shown
    }
}
