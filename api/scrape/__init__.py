"""Scraping: targets are asked for their figures, by Prometheus' own configuration file.

    in   a configuration file, files that list targets, what targets answer
    out  writes through `api.ingest`, one a scrape, and the state of every target

`document` reads YAML and knows lines, `reading` makes `config` of it, `relabel` is the little
language of both relabellings, `discovery` lists targets, `targets` prepares them. `fetch` asks one,
`table` and `harvest` turn its answer into columns, `loop` does so on time, `scraper` has them all.
"""
