import ControlWire
import LockerCore
import NIOCore
import SiteModel

/// `status`: the site or a part of it, from the snapshot.
enum StatusMethod {
    static func answer(_ call: Call, _ buffer: inout ByteBuffer) throws(ControlFault) {
        let params = try call.parameters("lockers", "controller", "bank")
        try call.grant.require(.view, to: "see the site")
        let selection = StatusEncoder.Selection(
            lockers: try params.optionalLockers("lockers")?.map(LockerSelector.init),
            controller: try params.optionalScope("controller", atMost: call.limits.lineBytes),
            bank: try params.optionalScope("bank", atMost: call.limits.lineBytes))
        try call.server.encoder.write(selection, for: call.grant, into: &buffer)
    }
}

/// `controllers`: every controller the peer may see.
enum ControllersMethod {
    static func answer(_ call: Call, _ buffer: inout ByteBuffer) throws(ControlFault) {
        _ = try call.parameters()
        try call.grant.require(.view, to: "see the controllers")
        call.server.encoder.writeControllers(for: call.grant, into: &buffer)
    }
}
