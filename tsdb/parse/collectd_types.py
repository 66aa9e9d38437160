"""What collectd's types hold, for PUTVAL lines: those say neither names nor kinds of their values.

    out  names of the values of a type, whether they count upwards

From types.db of collectd 5.12. A type that is not here has one gauge, called "value"; its second
value would be called "1", and so on.
"""

from __future__ import annotations

__all__ = ["counts_up", "value_names"]

_NAMES = {
    "compression": "uncompressed compressed",
    "df": "used free",
    "disk_io_time": "io_time weighted_io_time",
    "disk_latency": "read write",
    "disk_merged": "read write",
    "disk_octets": "read write",
    "disk_ops": "read write",
    "disk_time": "read write",
    "dns_octets": "queries responses",
    "domain_state": "state reason",
    "duration": "seconds",
    "ib_octets": "rx",
    "ib_packets": "rx",
    "if_dropped": "rx tx",
    "if_errors": "rx tx",
    "if_octets": "rx tx",
    "if_packets": "rx tx",
    "io_octets": "rx tx",
    "io_ops": "read write",
    "io_packets": "rx tx",
    "load": "shortterm midterm longterm",
    "memcached_octets": "rx tx",
    "mysql_octets": "rx tx",
    "node_octets": "rx tx",
    "ps_count": "processes threads",
    "ps_cputime": "user syst",
    "ps_disk_octets": "read write",
    "ps_disk_ops": "read write",
    "ps_pagefaults": "minflt majflt",
    "serial_octets": "rx tx",
    "smart_attribute": "current worst threshold pretty",
    "vf_broadcast": "vf_value",
    "vf_bytes": "vf_rx vf_tx",
    "vf_dropped": "vf_rx vf_tx",
    "vf_link_info": "vf_value",
    "vf_multicast": "vf_value",
    "vf_packets": "vf_rx vf_tx",
    "vmpage_faults": "minflt majflt",
    "vmpage_io": "in out",
    "voltage_threshold": "value threshold",
    "arc_counts": "demand_data demand_metadata prefetch_data prefetch_metadata",
    "arc_l2_bytes": "read write",
    "arc_size": "current target minlimit maxlimit",
    "mysql_qcache": "hits inserts not_cached lowmem_prunes queries_in_cache",
    "mysql_threads": "running connected cached created",
}
_COUNTERS = """
apache_bytes apache_requests ath_stat cache_eviction cache_operation cache_result ceph_rate
compression commands connections contextswitch cookies counter cpu derive disk_io_time
disk_merged disk_octets disk_ops disk_ops_complex disk_time dns_answer dns_notify dns_octets
dns_opcode dns_qtype dns_query dns_question dns_rcode dns_reject dns_request dns_resolver
dns_response dns_transfer dns_update dns_zops dpdk_telemetry drbd_resource errors
evicted_keys expired_keys filter_result fork_rate fscache_stat hash_collisions
http_request_methods http_requests http_response_codes ib_errors ib_link_error_recovery
ib_octets ib_packets ib_xmit_wait if_collisions if_dropped if_errors if_multicast if_octets
if_packets if_rx_dropped if_rx_errors if_rx_nohandler if_rx_octets if_rx_packets
if_tx_dropped if_tx_errors if_tx_octets if_tx_packets invocations io_octets io_ops
io_packets ipt_bytes ipt_packets irq job_stats memory_bandwidth memcached_command
memcached_octets memcached_ops memory_throttle_count mutex_operations mysql_bpool_counters
mysql_commands mysql_handler mysql_innodb_data mysql_innodb_dblwr mysql_innodb_log
mysql_innodb_pages mysql_innodb_row_lock mysql_innodb_rows mysql_locks mysql_log_position
mysql_octets mysql_select mysql_sort mysql_sort_merge_passes mysql_sort_rows
mysql_slow_queries nfs_procedure nginx_requests node_octets node_stat operations packets
perf pf_counters pf_limits pf_source pf_state pg_blks pg_n_tup_c pg_scan pg_xact
protocol_counter ps_cputime ps_disk_octets ps_disk_ops ps_pagefaults redis_command_cputime
serial_octets slurm_backfilled_jobs slurm_cycles slurm_cycle_duration slurm_cycle_depth
slurm_job_stats slurm_queue_length swap_io total_bytes total_connections total_events
total_objects total_operations total_requests total_sessions total_threads total_time_in_ms
total_values transitions vf_broadcast vf_bytes vf_dropped vf_multicast vf_packets
virt_cpu_total virt_vcpu vmpage_action vmpage_faults vmpage_io arc_counts arc_l2_bytes
"""
_MIXED = {
    "mysql_qcache": {"hits", "inserts", "not_cached", "lowmem_prunes"},
    "mysql_threads": {"created"},
}
_COUNTER_TYPES = frozenset(_COUNTERS.split())


def value_names(kind: str, count: int) -> tuple[str, ...]:
    """Names of `count` values of a type."""
    known = tuple(_NAMES.get(kind, "value").split())
    return known if len(known) == count else tuple(str(i) if i else "value" for i in range(count))


def counts_up(kind: str, name: str) -> bool:
    """Whether this value of a type is a counter or derivative, which only grows."""
    return kind in _COUNTER_TYPES or name in _MIXED.get(kind, ())
