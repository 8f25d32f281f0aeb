import HTTPUplink
import LockerKit

await UplinkMain.run(HTTPUplink.self)
