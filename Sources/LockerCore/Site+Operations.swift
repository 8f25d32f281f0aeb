package import LockerKit
import Logging
import SiteModel

// MARK: Open

extension Site {
    /// Opens of one locker that may wait for the one that is under way; one more is refused as busy.
    static let waitingOpensLimit = 8

    /// Opens one locker. Returns when it is done, in whatever way, or `pending` after `wait`.
    ///
    /// Throws only where the open was not accepted. An operation that was goes on to its end whether or not anybody still
    /// waits for it; an error in which it ended is in its result.
    package func open(
        _ request: OpenRequest, wait: Duration?
    ) async throws(LockerError) -> OperationView {
        let acceptedAt = request.arrivedAt ?? clock.now
        guard let view = snapshot.locker(request.locker) else { throw .unknown(request.locker) }
        let identity = OperationRecord.Identity.open(
            locker: view.identity.id, reason: request.reason, token: request.token,
            isMaintenance: request.isMaintenance, isAgain: request.isAgain)
        if let record = try await replay(
            request.key, identity, mayGuess: request.isMaintenance)
        {
            return await state(of: record, wait: wait, isReplayed: true)
        }
        guard !isStopping else { throw .stopping }
        if view.isOutOfService, !request.isMaintenance { throw .outOfService(view) }
        try checkDeadline(request.deadline, from: acceptedAt)
        let target = try target(request.locker)
        try checkRoom(for: target)
        try checkCoil(target)
        let record = accept(
            Acceptance(
                kind: .open, lockers: [view.identity], identity: identity, key: request.key,
                deadline: request.deadline, acceptedAt: acceptedAt, peer: request.peer,
                reason: request.reason, isMaintenance: request.isMaintenance))
        let run = run(
            target, record, token: request.token, isAgain: request.isAgain,
            deadline: request.deadline.map { acceptedAt + $0 },
            allowsOutOfService: request.isMaintenance, isMaintenance: request.isMaintenance
        )
        let id = record.view.id
        record.ticket.attach(
            context.start { await self.finishOpen(id, await run.perform()) })
        return await state(of: record, wait: wait, isReplayed: false)
    }

    private func finishOpen(_ id: String, _ result: LockerResult) async {
        guard let record = operations[id] else { return }
        var isCancelled = false
        if case .failed(let error) = result.ending { isCancelled = error.code == .cancelled }
        let state: OperationView.State = isCancelled ? .cancelled : .done
        note(result, of: record)
        context.environment.passing(.ending)
        // Kept before it is told: the same key must get the same answer whatever happens next.
        await keepEnd(
            of: record, state, [result],
            telling: .operationDone(
                operation: id, kind: .open, scope: OperationScope(.open, [result.locker]),
                result: result, summary: OpenAllSummary([result])))
        context.environment.passing(.ended)
        record.view.results = [result]
        record.view.state = state
        operations.noteEnd(of: record)
        record.ticket.finish()
        log(result, of: record)
    }

    func state(
        of record: OperationRecord, wait: Duration?, isReplayed: Bool
    ) async -> OperationView {
        await record.ticket.wait(limit: wait, clock: clock)
        // Whoever is told that it is pending may rely on finding it again.
        if record.view.state == .pending { await keepOpening(of: record) }
        var view = record.view
        view.isReplayed = isReplayed
        return view
    }

    /// A deadline that has passed while the request was on its way is past on arrival.
    func checkDeadline(
        _ deadline: Duration?, from arrival: ContinuousClock.Instant
    ) throws(LockerError) {
        if let deadline, clock.now >= arrival + deadline { throw .expired }
    }

    /// The operation that the key was used for, in this run or an earlier one.
    ///
    /// Throws where that cannot be found out, unless it `mayGuess` that it was not used.
    func replay(
        _ key: String?, _ identity: OperationRecord.Identity, mayGuess: Bool = false
    ) async throws(LockerError) -> OperationRecord? {
        guard let key else { return nil }
        if operations.record(key: key) == nil, let journal = context.journal,
            journal.legacy.hasKeys || operations.hasForgottenKeys
        {
            do throws(JournalFailure) {
                // While this waits, the same request may come again and be accepted; so what is in memory is looked at after it.
                if let kept = try await journal.operation(key: key) { adopt(kept) }
            } catch {
                if !mayGuess {
                    throw LockerError(
                        .conflict, "whether the key was used before cannot be read: \(error)")
                }
            }
        }
        guard let record = operations.record(key: key) else { return nil }
        let isSame: Bool
        if case .kept(let fingerprint) = record.identity {
            isSame = context.journal?.fingerprint(of: identity.text) == fingerprint
        } else {
            isSame = record.identity == identity
        }
        guard isSame else {
            throw LockerError(
                .keyReused, "key was used for operation \(record.view.id) with other parameters")
        }
        return record
    }

    /// Takes an operation of an earlier run into memory.
    @discardableResult
    private func adopt(_ kept: KeptOperation) -> OperationRecord {
        if let record = operations[kept.view.id] { return record }
        var view = kept.view
        // Its run is over: nothing more comes of it.
        if view.state == .pending { view.state = .done }
        let record = OperationRecord(
            view: view, identity: .kept(fingerprint: kept.fingerprint), acceptedAt: clock.now,
            peer: kept.peer, reason: kept.reason)
        operations.adopt(record, key: kept.key)
        return record
    }

    /// What an operation is accepted with.
    struct Acceptance {
        let kind: OperationView.Kind
        let lockers: [LockerIdentity]
        let identity: OperationRecord.Identity
        let key: String?
        let deadline: Duration?
        let acceptedAt: ContinuousClock.Instant
        let peer: Peer
        let reason: String?
        var isMaintenance = false
        var estimate: Duration?
    }

    func accept(_ terms: Acceptance) -> OperationRecord {
        operations.prune(now: terms.acceptedAt)
        let id = nextOperationID()
        var view = OperationView(
            id: id, kind: terms.kind, acceptedAt: wallClock(), lockers: terms.lockers)
        view.estimate = terms.estimate
        let record = OperationRecord(
            view: view, identity: terms.identity, acceptedAt: terms.acceptedAt, peer: terms.peer,
            reason: terms.reason, opening: opening(view, terms))
        operations.add(record, key: terms.key)
        if let deadline = terms.deadline {
            record.ticket.expire(at: terms.acceptedAt + deadline, clock: clock)
        }
        events.append(
            .operationStarted(
                operation: id, kind: terms.kind, scope: OperationScope(terms.kind, terms.lockers)))
        context.environment.passing(.accepted)
        return record
    }

    func run(
        _ target: Target, _ record: OperationRecord, token: OpenToken? = nil,
        isAgain: Bool = false,
        deadline: ContinuousClock.Instant?, allowsOutOfService: Bool, isMaintenance: Bool = false
    ) -> OpenRun {
        OpenRun(
            context: context, target: target, operation: record.view.id, ticket: record.ticket,
            gate: gate(target.identity.address), token: token, isAgain: isAgain,
            acceptedAt: record.acceptedAt,
            deadline: deadline, allowsOutOfService: allowsOutOfService,
            isMaintenance: isMaintenance)
    }

    /// What is accepted is kept until it has ended, so not more is accepted than can be kept.
    func checkRoom(for target: Target? = nil, lockers: Int = 1) throws(LockerError) {
        guard operations.pendingCount < OperationStore.pendingLimit else {
            throw LockerError(.busy, "\(OperationStore.pendingLimit) operations are under way")
        }
        let pending = operations.pendingLockerCount
        guard pending + lockers <= OperationStore.pendingLockerLimit else {
            throw LockerError(
                .busy,
                "\(pending) lockers are being opened; with \(lockers) more want at most \(OperationStore.pendingLockerLimit)"
            )
        }
        guard let target, gate(target.identity.address).waiting >= Self.waitingOpensLimit else {
            return
        }
        throw LockerError(
            .busy,
            "\(Self.waitingOpensLimit) opens of locker \(target.identity.address) are waiting")
    }

    /// A coil that is too warm refuses at once, before anything is accepted.
    private func checkCoil(_ target: Target) throws(LockerError) {
        let pulse = min(max(target.locker.pulse, Limits.shortestPulse), Limits.longestPulse)
        guard
            let limit = context.duty.limit(
                target.identity.address, pulse: pulse, plan: target.locker.coil, now: clock.now),
            limit.kind != .rest || limit.wait > OpenRun.longestRest
        else { return }
        throw .duty(target.identity.address, limit)
    }

    /// Says who opened what, on the runtime's pool: a log may be slow, and nobody who waits for a door need wait for it.
    func log(_ result: LockerResult, of record: OperationRecord) {
        let (id, peer, reason) = (record.view.id, record.peer, record.reason)
        Task { [logger = context.logger] in
            var metadata: Logger.Metadata = [
                "operation": "\(id)", "peer": "uid \(peer.uid) pid \(peer.pid)",
            ]
            if let reason { metadata["reason"] = "\(reason)" }
            logger.notice(
                "open of \(result.locker.address): \(result.ending)", metadata: metadata)
        }
    }

    /// One locker has come to its end, and the snapshot shows it.
    func note(_ result: LockerResult, of record: OperationRecord) {
        var outcome: Outcome?
        switch result.ending {
        case .outcome(let value, _, _, _): outcome = value
        case .failed(let error) where error.code == .cancelled && error.fired == .no: return
        case .failed: break
        case .skipped: return
        }
        let last = LastOpen(operation: record.view.id, at: wallClock(), outcome: outcome)
        snapshot.update(locker: result.locker.address) { $0.lastOpen = last }
    }
}

// MARK: Operations

extension Site {
    /// How long `cancel` waits for what is firing to come to its end, so that it can say exactly what fired.
    static let cancelPatience: Duration = .seconds(30)

    /// The operation's state and results so far, also of an earlier run.
    package func operation(_ id: String) async throws(LockerError) -> OperationView {
        try await record(id).view
    }

    private func record(_ id: String) async throws(LockerError) -> OperationRecord {
        if let record = operations[id] { return record }
        if let journal = context.journal {
            do throws(JournalFailure) {
                if let kept = try await journal.operation(id: id) { return adopt(kept) }
            } catch {
                throw LockerError(.conflict, "operations of earlier runs cannot be read: \(error)")
            }
        }
        throw LockerError(.unknownOperation, "no operation \(id)")
    }

    /// Keeps what has not fired from firing, and returns when it is certain what did.
    package func cancel(_ id: String, peer: Peer? = nil) async throws(LockerError) -> CancelView {
        let record = try await record(id)
        if record.view.state == .pending {
            audit(.cancel) { note in
                note.peer = peer
                note.operation = id
            }
            record.ticket.stop(.cancelledBeforeFiring)
            await record.ticket.wait(limit: Self.cancelPatience, clock: clock)
        }
        let view = record.view
        var fired: [LockerIdentity] = []
        var known: Set<LockerIdentity> = []
        for result in view.results {
            known.insert(result.locker)
            if result.mayHaveFired { fired.append(result.locker) }
        }
        // In a driver's hands and without a result after all that patience: the truth is that it may have fired.
        let handedOver = record.ticket.handedOver
        fired += view.lockers.filter { !known.contains($0) && handedOver.contains($0) }
        let firedOnes = Set(fired)
        return CancelView(
            operation: id, state: view.state, fired: fired,
            notFired: view.lockers.filter { !firedOnes.contains($0) })
    }
}

extension LockerResult {
    /// Whether the lock was energised, or may have been.
    var mayHaveFired: Bool {
        switch ending {
        case .outcome: true
        case .failed(let error): error.fired != .no
        case .skipped: false
        }
    }
}

extension LockerError {
    static func outOfService(_ view: LockerView) -> LockerError {
        let why = [view.service.reasonCode, view.service.reason].compactMap(\.self)
            .joined(separator: ": ")
        return LockerError(
            .conflict,
            "locker \(view.identity.address) is out of service"
                + (why.isEmpty ? "" : " (\(why))") + "; a maintenance open is needed")
    }
}
