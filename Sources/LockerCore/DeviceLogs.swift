import LockerKit
import Locks
import Logging
import SiteModel

/// How far the logs that devices keep themselves have become events here.
///
/// A number that is kept in one with the events of its stretch makes each entry an event exactly once, whenever a process ends.
final class DeviceLogs: Sendable {
    private struct State {
        /// By controller, or by controller and device where that has a name.
        var cursors: [String: Int64]
        /// The devices that were met in this run, by controller.
        var sources: [String: String] = [:]

        func key(_ controller: String) -> String {
            sources[controller].map { "\(controller) \($0)" } ?? controller
        }
    }

    /// What a stretch came to.
    struct News {
        var events: [EventBody] = []
        /// Under which name the cursor is kept, and where it stands.
        var key = ""
        var cursor: Int64 = 0
        var hasBegunAnew = false
        /// It was asked for from the wrong place on, as nobody knew yet whose log it is.
        var mustBeAskedAgain = false
    }

    private let state: Mutex<State>

    init(_ kept: [String: Int64]) {
        state = Mutex(State(cursors: kept))
    }

    /// The last entry of that controller's device that is an event; 0 before the first, and while nobody knows which device that is.
    func cursor(of controller: String) -> Int64 {
        state.withLock { $0.cursors[$0.key(controller)] ?? 0 }
    }

    /// What an earlier run left, where that could be read only now.
    func merge(_ kept: [String: Int64]) {
        state.withLock { $0.cursors.merge(kept) { max($0, $1) } }
    }

    /// What is new in a stretch of a log that was asked for behind `after`; the cursor is moved.
    func take(
        _ log: DeviceLog, of controller: String, askedAfter after: Int64,
        lockers: [Int: LockerIdentity]
    ) -> News {
        state.withLock { state in
            state.sources[controller] = log.source
            var news = News(key: state.key(controller))
            let known = state.cursors[news.key]
            news.cursor = known ?? 0
            // It was emptied.
            news.hasBegunAnew = log.next <= news.cursor
            if news.hasBegunAnew { news.cursor = 0 }
            news.mustBeAskedAgain = after != news.cursor && !news.hasBegunAnew
            guard !news.mustBeAskedAgain else { return news }
            if let parcel = log.parcel, let last = parcel.entries?.upperBound, last > news.cursor {
                news.events.append(.controllerParcel(controller: controller, parcel: parcel))
            }
            for entry in log.entries where entry.number > news.cursor {
                // Nobody has missed what was there before this site knew the device.
                let isFirst = news.cursor == 0 && (known == nil || news.hasBegunAnew)
                let missed = isFirst ? 0 : entry.number - news.cursor - 1
                news.events.append(
                    .controllerEvent(
                        controller: controller, locker: entry.locker.flatMap { lockers[$0] },
                        entry: entry, missed: missed))
                news.cursor = entry.number
            }
            // Where nobody may read the entries, the parcel has them all the same.
            if log.entries.isEmpty {
                news.cursor = max(news.cursor, log.parcel?.entries?.upperBound ?? 0)
            }
            state.cursors[news.key] = news.cursor
            return news
        }
    }
}

extension CoreContext {
    /// Makes events of what is new, and tells whether there may be more.
    func note(_ log: DeviceLog, of plan: ControllerPlan, askedAfter after: Int64) -> Bool {
        let lockers = Dictionary(
            plan.lockers.map { locker in
                (
                    locker.number,
                    LockerIdentity(id: locker.id, address: "\(plan.id)/\(locker.number)")
                )
            }, uniquingKeysWith: { first, _ in first })
        let news = logs.take(log, of: plan.id, askedAfter: after, lockers: lockers)
        if news.hasBegunAnew {
            logger.warning(
                "the log of \(plan.id) has begun anew: its next entry is \(log.next)",
                metadata: ["controller": "\(plan.id)"])
        }
        guard !news.events.isEmpty else { return news.mustBeAskedAgain }
        events.append(news.events, noting: [.cursor(controller: news.key, through: news.cursor)])
        return true
    }

    /// Whether everything that was noted until now would survive a power cut, or nothing ever does by choice.
    ///
    /// A disk that does not answer counts as one that keeps nothing.
    func isKept() async -> Bool {
        guard let journal, journal.state != .memory else { return true }
        let answer = FirstAnswer<Bool>()
        journal.submit([], synced: true) { result in
            if case .success = result { answer.give(true) } else { answer.give(false) }
        }
        return await patience.wait(for: answer, within: .seconds(1), otherwise: false)
    }

    /// Whether events can be kept at the moment. Where they cannot, a device is the safer place for its log.
    var keepsEvents: Bool {
        if case .broken? = journal?.state { false } else { true }
    }
}

// MARK: On the link

extension Lane {
    /// Between two looks at a device's log that had nothing more.
    static let logPause: Duration = .seconds(10)
    /// Actions are refused while so many orders wait.
    static let actQueue = 8
    /// Stretches that are taken in one turn: an open may be waiting.
    static let logStretches = 4

    /// Takes what the device's own log has that is no event here yet. Needs the turn.
    func collectLog(of id: String) async {
        guard let station = stations[id], let device = station.controller as? any ActingController,
            device.capabilities.actions.contains(.log), station.logDue <= context.clock.now,
            context.keepsEvents
        else { return }
        stations[id]?.logDue = context.clock.now + Self.logPause
        let life = life
        for _ in 0..<Self.logStretches {
            do throws(LockerError) {
                let after = context.logs.cursor(of: id)
                guard case .log(let log) = try await device.perform(.log(after: after)) else {
                    return
                }
                guard life == self.life else { return }
                guard context.note(log, of: station.plan, askedAfter: after) else { return }
                // Only what cannot be lost any more is forgotten there.
                guard await context.isKept() else { return }
                // Reading goes on another time: somebody waits for a door.
                guard turns.waiting == 0 else { break }
                guard device.capabilities.actions.contains(.forget) else { continue }
                _ = try await device.perform(.forget(through: context.logs.cursor(of: id)))
            } catch {
                context.logger.info(
                    "the log of \(id) was not read: \(error.message)",
                    metadata: ["controller": "\(id)"])
                return
            }
        }
        stations[id]?.logDue = context.clock.now
    }

    /// Asks a device for something beyond opening.
    func perform(
        _ action: DeviceAction, controller id: String
    ) async throws(LockerError) -> DeviceAnswer {
        guard turns.waiting < Self.actQueue else {
            throw LockerError(.busy, "link \(plan.name) has \(turns.waiting) orders waiting")
        }
        if let since = stations[id]?.missingSince, let miss = stations[id]?.lastMiss,
            since <= miss.at
        {
            throw LockerError(.linkDown, miss.error.message)
        }
        do {
            // Whoever only asks goes behind whoever wants a door open.
            try await turns.enter(.routine)
        } catch {
            throw LockerError(.cancelled, "cancelled before \(id) was asked")
        }
        defer { turns.leave() }
        guard let controller = stations[id]?.controller else { throw linkDown }
        guard let device = controller as? any ActingController,
            device.capabilities.actions.contains(action.name)
        else {
            let known = controller.capabilities.actions.map(\.rawValue).sorted()
            throw LockerError(
                .invalidRequest,
                "\(id) cannot do \(action.name.rawValue); it \(known.isEmpty ? "has no actions" : "has \(known.joined(separator: ", "))")"
            )
        }
        return try await device.perform(action)
    }
}
