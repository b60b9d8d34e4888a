#!/bin/sh
# The first process of the machine: mounts, a cgroup for itself, the command, power off. $OUT comes from the kernel's command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts /dev/pts
ln -sf pts/ptmx /dev/ptmx
ln -sfn /proc/self/fd /dev/fd
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=0755 tmpfs /var/cache
# podman wants to write a lock beside its configuration where netavark is installed.
if test -d /etc/containers; then
    cp -a /etc/containers /run/etc-containers
    mount --bind /run/etc-containers /etc/containers
fi
# The host's /tmp is hidden now, and the repository may be there.
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/out /mnt/repository
mount -t hostfs none /mnt/out -o "$OUT"
mount -t hostfs -o ro none /mnt/repository -o "$(cat /mnt/out/repository)"
ip link set lo up
modules=$(echo /mnt/repository/.build/uml/tree/usr/lib/uml/modules/*/kernel)
for module in fs/overlayfs/overlay lib/crc-ccitt net/ipv6/ipv6 net/llc/llc net/802/stp net/802/garp net/802/mrp net/8021q/8021q \
    drivers/net/veth drivers/net/dummy drivers/net/macvlan drivers/net/ipvlan/ipvlan; do
    busybox insmod "$modules/$module.ko"
done
# cgroup v2 gives controllers to children only of a cgroup without processes.
mkdir /sys/fs/cgroup/init
echo $$ > /sys/fs/cgroup/init/cgroup.procs
echo '+cpu +io +memory +pids' > /sys/fs/cgroup/cgroup.subtree_control
cd /mnt/repository || exit
sh /mnt/out/command
echo $? > /mnt/out/code
sync
poweroff -f
