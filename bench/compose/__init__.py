"""The compose run: the deployment of `docker-compose.yml` on a real engine, played through, broken and looked over."""
