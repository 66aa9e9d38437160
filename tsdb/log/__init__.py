"""Order and durability: what an entry means, how it is framed, when it is safe."""
