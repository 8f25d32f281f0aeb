package import LockerKit
import SiteModel

/// How far an `open-all` has come.
package struct OpenAllProgress: Sendable, Equatable {
    package let operation: String
    package let done: Int
    package let total: Int
    /// The newest result.
    package let result: LockerResult
}

/// What an `open-all` would come to.
package struct OpenAllEstimate: Sendable, Equatable {
    package let total: Int
    /// Lockers that would be left alone.
    package let skipped: Int
    package let duration: Duration
}

extension Site {
    /// Opens every locker in the scope that may open with the rest, within what each supply can take.
    ///
    /// One locker's failure never fails the call; `progress` is called once for each locker, in the order in which they end.
    package func openAll(
        _ request: OpenAllRequest, wait: Duration?,
        progress: @escaping @Sendable (OpenAllProgress) -> Void
    ) async throws(LockerError) -> OperationView {
        let acceptedAt = request.arrivedAt ?? clock.now
        let views = try scope(of: request)
        let identity = OperationRecord.Identity.openAll(
            controller: request.controller, bank: request.bank,
            lockers: request.asked.map { Set($0.map(normalized)) },
            reason: request.reason, includesOutOfService: request.includesOutOfService)
        if let record = try await replay(request.key, identity) {
            return await state(of: record, wait: wait, isReplayed: true)
        }
        guard !isStopping else { throw .stopping }
        try checkDeadline(request.deadline, from: acceptedAt)
        try checkRoom(lockers: views.count)
        let record = accept(
            Acceptance(
                kind: .openAll, lockers: views.map(\.identity), identity: identity,
                key: request.key, deadline: request.deadline, acceptedAt: acceptedAt,
                peer: request.peer, reason: request.reason,
                estimate: estimate(views.filter { skipReason($0, request) == nil })))
        let (runs, ended) = runs(views, request, record)
        let id = record.view.id
        await note(ended, of: id, progress)
        record.ticket.attach(
            context.start { [runs] in
                await OpenAllRun(runs: runs).perform { result in
                    await self.note([result], of: id, progress)
                }
                await self.finishOpenAll(id)
            })
        return await state(of: record, wait: wait, isReplayed: false)
    }

    /// What the same `open-all` would do and how long it would take, without doing it.
    package func planOpenAll(_ request: OpenAllRequest) throws(LockerError) -> OpenAllEstimate {
        let views = try scope(of: request)
        let fired = views.filter { skipReason($0, request) == nil }
        return OpenAllEstimate(
            total: views.count, skipped: views.count - fired.count, duration: estimate(fired))
    }

    private func runs(
        _ views: [LockerView], _ request: OpenAllRequest, _ record: OperationRecord
    ) -> (runs: [OpenRun], ended: [LockerResult]) {
        let deadline = request.deadline.map { record.acceptedAt + $0 }
        var ended: [LockerResult] = []
        var runs: [OpenRun] = []
        for view in views {
            if let reason = skipReason(view, request) {
                ended.append(LockerResult(locker: view.identity, ending: .skipped(reason: reason)))
                continue
            }
            do throws(LockerError) {
                runs.append(
                    run(
                        try target(.address(view.identity.address)), record, deadline: deadline,
                        allowsOutOfService: request.includesOutOfService))
            } catch {
                ended.append(LockerResult(locker: view.identity, ending: .failed(error)))
            }
        }
        return (runs, ended)
    }

    /// How long these lockers take at best: each supply and each board lets so many coils on at once, pulses of one supply begin a
    /// gap apart, and a link whose pulses this computer times gives one order after the other.
    private func estimate(_ views: [LockerView]) -> Duration {
        var pulses: [String: Duration] = [:]
        var supplies: [ObjectIdentifier: (group: SupplyGroup, pulses: Duration, count: Int)] = [:]
        for view in views {
            guard let target = try? target(.address(view.identity.address)) else { continue }
            let pulse = min(max(target.locker.pulse, Limits.shortestPulse), Limits.longestPulse)
            let key = ObjectIdentifier(target.supply)
            var entry = supplies[key] ?? (supplyGroup(of: target), .zero, 0)
            entry.pulses += pulse
            entry.count += 1
            supplies[key] = entry
            let controller = snapshot.controller(target.controller.id)
            guard let controller, let board = controller.capabilities else { continue }
            if board.pulseTiming == .host {
                pulses["link \(controller.link)", default: .zero] += pulse
            }
            pulses["board \(controller.id)", default: .zero] += pulse / board.maximumTogether
        }
        let times = supplies.values.map { supply in
            max(supply.pulses / supply.group.atOnce, supply.group.gap * (supply.count - 1))
        }
        return (times + pulses.values).max() ?? .zero
    }

    /// One name for each locker, however the request named it.
    private func normalized(_ selector: LockerSelector) -> LockerSelector {
        snapshot.locker(selector).map { .id($0.identity.id) } ?? selector
    }

    private func scope(of request: OpenAllRequest) throws(LockerError) -> [LockerView] {
        if let controller = request.controller, snapshot.controller(controller) == nil {
            throw LockerError(.unknownController, "no controller \(controller)")
        }
        var wanted: Set<Int>?
        if let selectors = request.lockers {
            var ids: Set<Int> = []
            for selector in selectors {
                guard let view = snapshot.locker(selector) else { throw .unknown(selector) }
                ids.insert(view.identity.id)
            }
            wanted = ids
        }
        let views = snapshot.read { contents in
            contents.lockers.map(\.view).filter { view in
                (request.controller == nil || view.controller == request.controller)
                    && (request.bank == nil || view.bank == request.bank)
                    && wanted?.contains(view.identity.id) ?? true
            }
        }
        guard !views.isEmpty else {
            let bank = request.bank.map { " in bank \($0)" } ?? ""
            throw LockerError(.invalidRequest, "no locker\(bank) matches")
        }
        return views
    }

    private func skipReason(_ view: LockerView, _ request: OpenAllRequest) -> String? {
        if !view.inOpenAll { return "excluded from open-all" }
        if view.isOutOfService, !request.includesOutOfService { return "out of service" }
        return nil
    }

    private func note(
        _ results: [LockerResult], of id: String,
        _ progress: @Sendable (OpenAllProgress) -> Void
    ) async {
        guard let record = operations[id] else { return }
        let results = results.map(skippedOnPurpose)
        for result in results { note(result, of: record) }
        await keep(results, of: record)
        for result in results {
            record.view.results.append(result)
            log(result, of: record)
            progress(
                OpenAllProgress(
                    operation: id, done: record.view.results.count,
                    total: record.view.lockers.count, result: result))
        }
    }

    /// What an `open-all` leaves alone on purpose is no failure.
    private func skippedOnPurpose(_ result: LockerResult) -> LockerResult {
        guard case .failed(let error) = result.ending, error.fired == .no, !error.isNotKept else {
            return result
        }
        let isOut = snapshot.locker(.address(result.locker.address))?.isOutOfService ?? false
        let reason: String? =
            switch error.code {
            case .cancelled: "cancelled before firing"
            case .conflict where isOut: "out of service"
            default: nil
            }
        return reason.map { LockerResult(locker: result.locker, ending: .skipped(reason: $0)) }
            ?? result
    }

    private func finishOpenAll(_ id: String) async {
        guard let record = operations[id] else { return }
        record.view.results.sort { $0.locker.id < $1.locker.id }
        let state: OperationView.State =
            record.ticket.stopped?.code == .cancelled ? .cancelled : .done
        await keepEnd(
            of: record, state, record.view.results,
            telling: .operationDone(
                operation: id, kind: .openAll,
                scope: OperationScope(.openAll, record.view.lockers), result: nil,
                summary: OpenAllSummary(record.view.results)))
        record.view.state = state
        operations.noteEnd(of: record)
        record.ticket.finish()
    }
}
