/// What a command of the table does, whatever it was spelled.
enum Verb: String, Sendable, CaseIterable {
    case run, create, start, stop, kill, restart, rm, ps, logs, exec, attach, wait, top, pause, unpause, rename, port, update, stats
    case build, builderPrune
    case copy, diff, export, commit
    case initialize, containerClone, debug, mount, unmount, imageMount, imageUnmount
    case containerExists, containerCleanUp, unshare
    /// `berth inspect`: any object; the other two take one kind only.
    case inspect, inspectContainer, inspectImage
    case healthcheckRun
    case checkpointCreate, checkpointList, checkpointRemove, containerCheckpoint, containerRestore
    case images, load, `import`, save, tag, rmi
    case pull, push
    case history, untag, imageExists
    case imagePrune, containerPrune, volumePrune, systemPrune, systemUsage
    case login, logout, search
    case networkCreate, networkExists, inspectNetwork, networkList, networkConnect, networkDisconnect, networkUpdate, networkReload,
        networkPrune,
        networkRemove
    case volumeCreate, volumeList, inspectVolume, volumeRemove, volumeExists, volumeExport, volumeImport
    case volumeSnapshot, volumeSnapshots, volumeClone, volumeRestore
    case version, info, systemCheck, systemBoot, systemShutDown, installService, events
    case registryServe
    case imageCopy, imageSync, imageDelete, imageListTags
    case manifestCreate, manifestAdd, manifestAnnotate, manifestInspect, manifestPush, manifestRm, manifestRemove, manifestExists
}
