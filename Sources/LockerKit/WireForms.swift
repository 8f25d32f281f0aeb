import JSONLines
package import ModuleWire

// How the types of this room travel. The wire knows words, this room knows what they mean; both ends use these.

extension LockerError.Code {
    /// Whether a driver may use it; the others are the core's own.
    package var isForDrivers: Bool {
        switch self {
        case .invalidRequest, .unknownLocker, .unknownController, .busy, .dutyLimit, .linkDown,
            .timedOut, .refused, .outputStuck, .cancelled, .expired, .internal:
            true
        case .unknownOperation, .notPermitted, .keyReused, .conflict, .stopping: false
        }
    }
}

extension LockerError {
    /// Reads what a module sent: a word that is not in the list counts as the worst case.
    package init(_ data: ErrorData) {
        let code = Code(rawValue: data.code).flatMap { $0.isForDrivers ? $0 : nil } ?? .internal
        self.init(
            code, data.message, fired: Fired(rawValue: data.fired) ?? .unknown,
            sent: Sent(rawValue: data.sent) ?? .maybe)
    }

    package var wire: ErrorData {
        ErrorData(code: code.rawValue, message: message, fired: fired.rawValue, sent: sent.rawValue)
    }
}

extension OpenCommand {
    /// Reads an order; `readAt` is when its line was read, on the clock that the driver will hold it to.
    package init(_ params: OpenParams, readAt: ContinuousClock.Instant) {
        self.init(
            locker: params.locker, pulse: Duration(wireMilliseconds: params.pulseMilliseconds),
            token: params.token.map {
                OpenToken(payload: $0.payload, payloadAuth: $0.payloadAuth)
            }, isAgain: params.isAgain,
            deadline: params.withinMilliseconds.map { readAt + Duration(wireMilliseconds: $0) })
    }

    /// The order as it is sent at `now`: two processes share no clock that both could name a moment on, so what travels is
    /// the time that is left.
    package func wire(controller: String, now: ContinuousClock.Instant) -> OpenParams {
        OpenParams(
            controller: controller, locker: locker, pulseMilliseconds: pulse.wireMilliseconds,
            withinMilliseconds: deadline.map { deadline in
                let left = max(.zero, now.duration(to: deadline))
                return min(left.wireMilliseconds, ModuleProtocol.longestMilliseconds)
            },
            token: token.map {
                OpenParams.Token(payload: $0.payload, payloadAuth: $0.payloadAuth)
            }, isAgain: isAgain)
    }
}

extension OpenReport {
    /// Reads a result; `asked` stands in for a pulse the module does not report.
    package init(_ result: OpenResult, asked: Duration) throws(WireError) {
        self.init(
            evidence: try Self.evidence(result.evidence, "result.evidence"),
            doorBefore: try result.doorBefore.map { word throws(WireError) in
                try DoorState.fromWire(word, "result.doorBefore")
            },
            doorAfter: try result.doorAfter.map { word throws(WireError) in
                try DoorState.fromWire(word, "result.doorAfter")
            },
            bus: Duration(wireMilliseconds: result.busMilliseconds),
            pulse: result.pulseMilliseconds.map { Duration(wireMilliseconds: $0) } ?? asked)
    }

    package var wire: OpenResult {
        OpenResult(
            evidence: evidence.rawValue, doorBefore: doorBefore?.rawValue,
            doorAfter: doorAfter?.rawValue, busMilliseconds: bus.wireMilliseconds,
            pulseMilliseconds: pulse.wireMilliseconds)
    }

    fileprivate static func evidence(
        _ word: String, _ member: String
    ) throws(WireError) -> Evidence {
        guard let evidence = Evidence(rawValue: word), evidence != .doorSensor else {
            throw WireError("\(member) is \"\(word)\"; want lock-feedback, echo or none")
        }
        return evidence
    }
}

extension Capabilities {
    package init(_ data: CapabilitiesData) throws(WireError) {
        guard let timing = PulseTiming(rawValue: data.pulseTiming) else {
            throw WireError(
                "capabilities.pulseTiming is \"\(data.pulseTiming)\"; want board or host")
        }
        self.init(
            pulseTiming: timing,
            evidence: try OpenReport.evidence(data.evidence, "capabilities.evidence"),
            maximumTogether: max(1, data.maximumTogether), polarityKnown: data.polarityKnown,
            doorSensors: data.doorSensors,
            // Of actions that this side has not heard of nobody will ask for one.
            actions: Set(data.actions.compactMap(DeviceAction.Name.init)))
    }

    package var wire: CapabilitiesData {
        CapabilitiesData(
            pulseTiming: pulseTiming.rawValue, evidence: evidence.rawValue,
            maximumTogether: maximumTogether, polarityKnown: polarityKnown,
            doorSensors: doorSensors, actions: actions.map(\.rawValue).sorted())
    }
}

extension DoorState {
    fileprivate static func fromWire(
        _ word: String, _ member: String
    ) throws(WireError) -> DoorState {
        guard let state = DoorState(rawValue: word) else {
            throw WireError("\(member) is \"\(word)\"; want open, closed or unknown")
        }
        return state
    }
}

extension DoorReading {
    /// Reads one door; `now` is when the message came.
    package init(_ data: DoorData, now: ContinuousClock.Instant) throws(WireError) {
        self.init(
            locker: data.locker, door: try DoorState.fromWire(data.door, "door"),
            takenAt: Self.moment(of: data, now))
    }

    /// How far a module's moment and its age may be apart. A message that takes longer has lost its time; more is another clock, as in a
    /// container with a start of its own.
    private static let patience: Duration = .seconds(1)

    private static func moment(
        of data: DoorData, _ now: ContinuousClock.Instant
    ) -> ContinuousClock.Instant {
        let byAge = now - Duration(wireMilliseconds: data.ageMilliseconds)
        guard let milliseconds = data.bootMilliseconds else { return byAge }
        let moment = BootTime.instant(of: milliseconds)
        guard moment > byAge - patience, moment < byAge + patience else { return byAge }
        return min(moment, now)
    }

    /// The door as it is sent at `now`.
    package func wire(now: ContinuousClock.Instant) -> DoorData {
        DoorData(
            locker: locker, door: door.value.rawValue,
            ageMilliseconds: door.age(at: now).wireMilliseconds,
            bootMilliseconds: BootTime.milliseconds(of: min(door.takenAt, now)))
    }
}

extension LinkDescription {
    package init(_ params: ConfigureDriverParams) {
        self.init(
            name: params.link, options: Options(params.options, path: "link."),
            controllers: params.controllers.map { controller in
                let path = "controller[\(controller.id)]."
                return ControllerDescription(
                    id: controller.id, options: Options(controller.options, path: path),
                    board: Options(controller.board, path: "\(path)board."),
                    lockers: controller.lockers.map { locker in
                        LockerDescription(
                            number: locker.number, hasSensor: locker.hasSensor,
                            options: Options(
                                locker.options, path: "\(path)locker[\(locker.number)]."))
                    })
            })
    }

    package var wire: ConfigureDriverParams {
        ConfigureDriverParams(
            link: name, options: options.json,
            controllers: controllers.map { controller in
                ConfigureDriverParams.Controller(
                    id: controller.id, options: controller.options.json,
                    board: controller.board.json,
                    lockers: controller.lockers.map { locker in
                        ConfigureDriverParams.Locker(
                            number: locker.number, hasSensor: locker.hasSensor,
                            options: locker.options.json)
                    })
            })
    }
}

extension Duration {
    /// From the wire's milliseconds, rounded to a microsecond.
    package init(wireMilliseconds milliseconds: Double) {
        let longest = ModuleProtocol.longestMilliseconds
        let bounded = min(max(0, milliseconds), longest)
        self = .microseconds(Int64((bounded * 1000).rounded()))
    }

    /// As the wire has it: milliseconds, rounded to a microsecond.
    package var wireMilliseconds: Double {
        let (seconds, attoseconds) = components
        let microseconds = (Double(attoseconds) / 1e12).rounded()
        return (Double(seconds) * 1e6 + microseconds) / 1000
    }
}
