/// A document with every key of the runtime-spec for Linux and virtual machines, but `process.commandLine`, which is for Windows.
let completeSpec = #"""
    {
     "annotations": {
      "one": "text"
     },
     "domainname": "text",
     "hooks": {
      "createContainer": [
       {
        "args": [
         "text"
        ],
        "env": [
         "text"
        ],
        "path": "text",
        "timeout": 7
       }
      ],
      "createRuntime": [
       {
        "args": [
         "text"
        ],
        "env": [
         "text"
        ],
        "path": "text",
        "timeout": 7
       }
      ],
      "poststart": [
       {
        "args": [
         "text"
        ],
        "env": [
         "text"
        ],
        "path": "text",
        "timeout": 7
       }
      ],
      "poststop": [
       {
        "args": [
         "text"
        ],
        "env": [
         "text"
        ],
        "path": "text",
        "timeout": 7
       }
      ],
      "prestart": [
       {
        "args": [
         "text"
        ],
        "env": [
         "text"
        ],
        "path": "text",
        "timeout": 7
       }
      ],
      "startContainer": [
       {
        "args": [
         "text"
        ],
        "env": [
         "text"
        ],
        "path": "text",
        "timeout": 7
       }
      ]
     },
     "hostname": "text",
     "linux": {
      "cgroupsPath": "text",
      "devices": [
       {
        "fileMode": 7,
        "gid": 7,
        "major": 7,
        "minor": 7,
        "path": "text",
        "type": "text",
        "uid": 7
       }
      ],
      "gidMappings": [
       {
        "containerID": 7,
        "hostID": 7,
        "size": 7
       }
      ],
      "intelRdt": {
       "closID": "text",
       "enableMonitoring": true,
       "l3CacheSchema": "text",
       "memBwSchema": "text",
       "schemata": [
        "text"
       ]
      },
      "maskedPaths": [
       "text"
      ],
      "memoryPolicy": {
       "flags": [
        "text"
       ],
       "mode": "text",
       "nodes": "text"
      },
      "mountLabel": "text",
      "namespaces": [
       {
        "path": "text",
        "type": "text"
       }
      ],
      "netDevices": {
       "one": {
        "name": "text"
       }
      },
      "personality": {
       "domain": "text",
       "flags": [
        "text"
       ]
      },
      "readonlyPaths": [
       "text"
      ],
      "resources": {
       "blockIO": {
        "leafWeight": 7,
        "throttleReadBpsDevice": [
         {
          "major": 7,
          "minor": 7,
          "rate": 7
         }
        ],
        "throttleReadIOPSDevice": [
         {
          "major": 7,
          "minor": 7,
          "rate": 7
         }
        ],
        "throttleWriteBpsDevice": [
         {
          "major": 7,
          "minor": 7,
          "rate": 7
         }
        ],
        "throttleWriteIOPSDevice": [
         {
          "major": 7,
          "minor": 7,
          "rate": 7
         }
        ],
        "weight": 7,
        "weightDevice": [
         {
          "leafWeight": 7,
          "major": 7,
          "minor": 7,
          "weight": 7
         }
        ]
       },
       "cpu": {
        "burst": 7,
        "cpus": "text",
        "idle": 7,
        "mems": "text",
        "period": 7,
        "quota": 7,
        "realtimePeriod": 7,
        "realtimeRuntime": 7,
        "shares": 7
       },
       "devices": [
        {
         "access": "text",
         "allow": true,
         "major": 7,
         "minor": 7,
         "type": "text"
        }
       ],
       "hugepageLimits": [
        {
         "limit": 7,
         "pageSize": "text"
        }
       ],
       "memory": {
        "checkBeforeUpdate": true,
        "disableOOMKiller": true,
        "kernel": 7,
        "kernelTCP": 7,
        "limit": 7,
        "reservation": 7,
        "swap": 7,
        "swappiness": 7,
        "useHierarchy": true
       },
       "network": {
        "classID": 7,
        "priorities": [
         {
          "name": "text",
          "priority": 7
         }
        ]
       },
       "pids": {
        "limit": 7
       },
       "rdma": {
        "one": {
         "hcaHandles": 7,
         "hcaObjects": 7
        }
       },
       "unified": {
        "one": "text"
       }
      },
      "rootfsPropagation": "text",
      "seccomp": {
       "architectures": [
        "text"
       ],
       "defaultAction": "text",
       "defaultErrnoRet": 7,
       "flags": [
        "text"
       ],
       "listenerMetadata": "text",
       "listenerPath": "text",
       "syscalls": [
        {
         "action": "text",
         "args": [
          {
           "index": 7,
           "op": "text",
           "value": 7,
           "valueTwo": 7
          }
         ],
         "errnoRet": 7,
         "names": [
          "text"
         ]
        }
       ]
      },
      "sysctl": {
       "one": "text"
      },
      "timeOffsets": {
       "boottime": {
        "nanosecs": 7,
        "secs": 7
       },
       "monotonic": {
        "nanosecs": 7,
        "secs": 7
       }
      },
      "uidMappings": [
       {
        "containerID": 7,
        "hostID": 7,
        "size": 7
       }
      ]
     },
     "mounts": [
      {
       "destination": "text",
       "gidMappings": [
        {
         "containerID": 7,
         "hostID": 7,
         "size": 7
        }
       ],
       "options": [
        "text"
       ],
       "source": "text",
       "type": "text",
       "uidMappings": [
        {
         "containerID": 7,
         "hostID": 7,
         "size": 7
        }
       ]
      }
     ],
     "ociVersion": "text",
     "process": {
      "apparmorProfile": "text",
      "args": [
       "text"
      ],
      "capabilities": {
       "ambient": [
        "text"
       ],
       "bounding": [
        "text"
       ],
       "effective": [
        "text"
       ],
       "inheritable": [
        "text"
       ],
       "permitted": [
        "text"
       ]
      },
      "consoleSize": {
       "height": 7,
       "width": 7
      },
      "cwd": "text",
      "env": [
       "text"
      ],
      "execCPUAffinity": {
       "final": "text",
       "initial": "text"
      },
      "ioPriority": {
       "class": "text",
       "priority": 7
      },
      "noNewPrivileges": true,
      "oomScoreAdj": 7,
      "rlimits": [
       {
        "hard": 7,
        "soft": 7,
        "type": "text"
       }
      ],
      "scheduler": {
       "deadline": 7,
       "flags": [
        "text"
       ],
       "nice": 7,
       "period": 7,
       "policy": "text",
       "priority": 7,
       "runtime": 7
      },
      "selinuxLabel": "text",
      "terminal": true,
      "user": {
       "additionalGids": [
        7
       ],
       "gid": 7,
       "uid": 7,
       "umask": 7,
       "username": "text"
      }
     },
     "root": {
      "path": "text",
      "readonly": true
     },
     "vm": {
      "hwConfig": {
       "deviceTree": "text",
       "dtdevs": [
        "text"
       ],
       "iomems": [
        {
         "firstGFN": 7,
         "firstMFN": 7,
         "nrMFNs": 7
        }
       ],
       "irqs": [
        7
       ],
       "memory": 7,
       "vcpus": 7
      },
      "hypervisor": {
       "parameters": [
        "text"
       ],
       "path": "text"
      },
      "image": {
       "format": "text",
       "path": "text"
      },
      "kernel": {
       "initrd": "text",
       "parameters": [
        "text"
       ],
       "path": "text"
      }
     }
    }
    """#
