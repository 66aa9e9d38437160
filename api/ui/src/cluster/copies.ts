// What is told of copies, and what it means.
//
// in   /api/v1/cluster
// out  whether copies at the same position have the same digest; how many are behind
export interface Copy {
  node: string;
  state: string;
  applied?: number | null;
  lag?: number | null;
  digest?: string | null;
}

export interface Shard {
  shard: number;
  leader: string | null;
  replicas: Copy[];
  moves: Array<{ comes: string; leaves: string | null }>;
}

export interface Cluster {
  cluster: string;
  node: string;
  nodes: Array<{ node: string; http: string; alive: boolean; last_seen_s: number | null }>;
  shards: Shard[];
}

/** Digests of the same position are compared: elsewhere they must differ. */
export function areEqual(shard: Shard): boolean {
  const seen = new Map<number, string>();
  for (const { state, applied, digest } of shard.replicas) {
    if (state !== "serving" || !digest || applied == null) continue;
    const before = seen.get(applied);
    if (before !== undefined && before !== digest) return false;
    seen.set(applied, digest);
  }
  return true;
}

export function copiesBehind(shards: readonly Shard[]): number {
  return shards.flatMap((shard) => shard.replicas).filter((copy) => (copy.lag ?? 0) > 0).length;
}
