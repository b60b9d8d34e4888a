import Flags

extension CommandTable {
    var imageCopy: Command {
        Command(
            "copy", operands: "SOURCE DESTINATION", summary: "Copy an image from one place to another",
            details: """
                Copy an image from one place to another

                A place is docker://NAME (a registry), oci:DIR[:TAG],
                oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:DIR or
                berth:NAME (the local store). Manifests and layers arrive byte for byte
                as they were, unless a flag asks for a conversion.
                """,
            examples: [
                Example(
                    "From one registry to another, all platforms",
                    "berth image copy --all docker://alpine docker://localhost:5000/team/alpine"),
                Example("From a registry to a directory", "berth image copy docker://alpine oci:alpine:latest"),
                Example("From the local store to an archive", "berth image copy berth:busybox docker-archive:busybox.tar:busybox:latest"),
            ], arity: .exactly(2), flags: TransferFlags.copy,
            unsupported: {
                Flag.unsupported(
                    values: """
                        decryption-key dest-compress-level dest-daemon-host dest-password dest-registry-token dest-shared-blob-dir
                        dest-username encrypt-layer encryption-key sign-by sign-by-sigstore sign-by-sigstore-private-key sign-identity
                        sign-passphrase-file src-daemon-host src-password src-registry-token src-shared-blob-dir src-username
                        """, switches: "dest-compress dest-oci-accept-uncompressed-layers dest-precompute-digests")
            }, run: action(.imageCopy))
    }

    var imageSync: Command {
        Command(
            "sync", operands: "--src KIND --dest KIND SOURCE DESTINATION",
            summary: "Copy all images of a repository or a directory",
            examples: [
                Example(
                    "All tags of a repository into a directory",
                    "berth image sync --src docker --dest dir --scoped localhost:5000/team/app usb")
            ], arity: .exactly(2), flags: TransferFlags.sync,
            unsupported: {
                Flag.unsupported(
                    values: """
                        dest-password dest-registry-token dest-username sign-by sign-by-sigstore sign-by-sigstore-private-key
                        sign-passphrase-file src-password src-registry-token src-username
                        """, switches: "append-suffix")
            }, run: action(.imageSync))
    }

    var imageDelete: Command {
        Command(
            "delete", operands: "docker://NAME", summary: "Delete an image from a registry",
            details: """
                Delete an image from a registry

                Deletes the manifest that the name stands for; other tags of the same
                image go with it.
                """,
            examples: [
                Example("A tag and what it stands for", "berth image delete docker://localhost:5000/team/app:1")
            ], arity: .exactly(1), flags: TransferFlags.remote, run: action(.imageDelete))
    }

    var imageListTags: Command {
        Command(
            "list-tags", operands: "docker://REPOSITORY|docker-archive:FILE", summary: "List the tags of a repository",
            examples: [
                Example("At a registry", "berth image list-tags docker://localhost:5000/team/app"),
                Example("In an archive", "berth image list-tags docker-archive:busybox.tar"),
            ], arity: .exactly(1), flags: TransferFlags.remote, run: action(.imageListTags))
    }

    // MARK: Manifest lists

    var manifest: Command {
        .group("manifest", summary: "Make images for several platforms out of images for one") {
            [
                manifestAdd, manifestAnnotate, manifestCreate, manifestExists, manifestInspect, manifestPush, manifestRemove,
                manifestRm,
            ]
        }
    }

    private var manifestCreate: Command {
        Command(
            "create", operands: "LIST [IMAGE...]", summary: "Begin a manifest list",
            details: """
                Begin a manifest list

                An image is a name in the local store, or else at its registry; or any
                place that image copy takes. The list is kept here until it is pushed.
                """,
            examples: [
                Example(
                    "Two images under one name",
                    "berth manifest create localhost:5000/team/app:1 localhost:5000/team/app:amd64 localhost:5000/team/app:arm64")
            ], arity: .atLeast(1), completion: [.nothing, .names(.images)], flags: TransferFlags.manifestCreate,
            run: action(.manifestCreate))
    }

    private var manifestAdd: Command {
        Command(
            "add", operands: "LIST IMAGE [IMAGE...]", summary: "Add images to a manifest list",
            examples: [
                Example("One more platform", "berth manifest add localhost:5000/team/app:1 localhost:5000/team/app:arm64")
            ], arity: .atLeast(2),
            completion: [.nothing, .names(.images)], flags: TransferFlags.manifestAdd,
            unsupported: {
                Flag.unsupported(
                    values: "artifact-config artifact-config-type artifact-layer-type artifact-subject artifact-type features",
                    switches: "artifact artifact-exclude-titles")
            }, run: action(.manifestAdd))
    }

    private var manifestAnnotate: Command {
        Command(
            "annotate", operands: "LIST IMAGE", summary: "Say more of an image in a manifest list",
            examples: [
                Example(
                    "What its configuration does not say",
                    "berth manifest annotate --variant v8 localhost:5000/team/app:1 localhost:5000/team/app:arm64")
            ], arity: .range(1, 2),
            flags: TransferFlags.manifestAnnotate, unsupported: { Flag.unsupported(values: "features subject") },
            run: action(.manifestAnnotate))
    }

    private var manifestInspect: Command {
        Command(
            "inspect", operands: "LIST|IMAGE", summary: "Show a manifest list, or a manifest at a registry",
            examples: [
                Example("One here", "berth manifest inspect localhost:5000/team/app:1"),
                Example("One at a registry", "berth manifest inspect alpine"),
            ], arity: .exactly(1),
            flags: TransferFlags.manifestInspect, run: action(.manifestInspect))
    }

    private var manifestPush: Command {
        Command(
            "push", operands: "LIST [DESTINATION]", summary: "Push a manifest list and its images",
            examples: [
                Example("With all images it lists", "berth manifest push --all localhost:5000/team/app:1")
            ], arity: .range(1, 2),
            flags: TransferFlags.manifestPush,
            unsupported: {
                Flag.unsupported(
                    values: """
                        add-compression compression-format compression-level sign-by sign-by-sigstore sign-by-sigstore-private-key
                        sign-by-sq-fingerprint sign-passphrase-file
                        """, switches: "force-compression")
            }, run: action(.manifestPush))
    }

    private var manifestRm: Command {
        Command(
            "rm", operands: "LIST [LIST...]", summary: "Remove manifest lists; what they list stays",
            examples: [
                Example("One", "berth manifest rm localhost:5000/team/app:1")
            ], arity: .atLeast(1),
            flags: TransferFlags.manifestRemove, run: action(.manifestRm))
    }

    private var manifestRemove: Command {
        Command(
            "remove", operands: "LIST DIGEST|IMAGE", summary: "Take an image out of a manifest list",
            examples: [
                Example("One image out of it", "berth manifest remove localhost:5000/team/app:1 localhost:5000/team/app:arm64")
            ], arity: .exactly(2),
            run: action(.manifestRemove))
    }

    private var manifestExists: Command {
        Command(
            "exists", operands: "LIST", summary: "Succeed if there is a manifest list of the name",
            examples: [
                Example("In a script", "berth manifest exists localhost:5000/team/app:1 && echo here")
            ], exitStatuses: Self.existence, arity: .exactly(1),
            run: action(.manifestExists))
    }
}
