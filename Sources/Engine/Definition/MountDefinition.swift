/// A mount somebody asked for: what shall appear where, as typed, before it is bound to this host.
public struct MountDefinition: Hashable, Sendable {
    public enum Kind: String, Sendable {
        case bind, volume, tmpfs, image
        /// The root of another container with all that is mounted in it, or, as overlay, its layers. Only `debug` makes these.
        case container
    }

    /// What `ro` means for mounts below the source (`mount_setattr(2)` with AT_RECURSIVE, Linux 5.12).
    public enum RecursiveReadOnly: String, Sendable {
        /// Recursive where the kernel can, else only the top (Docker's default since 25).
        case ifPossible = "enabled"
        /// Only the top mount (`bind-recursive=writable`).
        case off = "writable"
        /// Recursive or an error (`bind-recursive=readonly`, `rro`).
        case force = "readonly"
    }

    public enum Label: String, Sendable {
        case none = ""
        case shared = "z"
        case `private` = "Z"
    }

    public var kind: Kind
    /// Host path of a bind, name of a volume (empty: anonymous), empty for tmpfs, an image as it was named, a container's id.
    public var source: String
    /// Absolute path in the container, canonical.
    public var target: String
    /// A directory of the container that no link of ``target``, which begins with it, leads out of; empty: its root.
    public var base = ""
    public var readOnly = false
    public var recursiveReadOnly = RecursiveReadOnly.ifPossible
    /// `rprivate` when empty.
    public var propagation = ""
    /// False: mounts below the source stay out (`bind-recursive=disabled`).
    public var recursive = true
    /// Make a missing bind source as a directory (`-v` does, `--mount` does not).
    public var createSource = false
    /// Leave a new volume empty instead of copying what the image has at the target.
    public var noCopy = false
    /// A path inside the volume or image to mount instead of its root.
    public var subpath = ""
    /// Give the source to the container's user first (podman's `U`).
    public var changeOwner = false
    public var label = Label.none
    /// Bytes; 0: the kernel's default.
    public var tmpfsSize: Int64 = 0
    public var tmpfsMode: UInt32?
    /// Mount options that were asked for by name: `noexec`, `nosuid`, `uid=5` …
    public var options: [String] = []
    /// Labels for a volume that is made by this mount.
    public var volumeLabels: [String: String] = [:]
    /// Options of the driver for a volume that is made by this mount.
    public var volumeOptions: [String: String] = [:]
    /// What the container writes goes to a layer of its own that ends with the run (podman's `O`).
    public var isOverlay = false
    /// A bind that shows the ids that are seen inside, as volumes do (podman's `idmap`).
    public var isIDMapped = false
    /// Came by `--volumes-from`.
    public var isInherited = false
    /// Of an image: its id.
    public var imageID = ""
    /// Of a step of a build: layers that no image has yet, topmost first, instead of an image's.
    public var layers: [String] = []
    /// A volume that belongs to this container alone and goes with `rm -v` and `--rm`.
    public var isAnonymous = false

    public init(_ kind: Kind, source: String = "", target: String) {
        self.kind = kind
        self.source = source
        self.target = target
    }
}
