"""The methods that both clients have: every operation of the API."""

from __future__ import annotations

from agentrooms.client.asking import Operation
from agentrooms.client.calls import account, agents, auth, market, operations, rooms, runs, swarms, wallet


class Operations:
    """Every operation of the API, by its OpenAPI id in snake case."""

    challenge = Operation(auth.challenge)
    verify = Operation(auth.verify)
    refresh = Operation(auth.refresh)
    logout = Operation(auth.logout)
    me = Operation(auth.me)

    list_rooms = Operation(rooms.list_rooms)
    open_room = Operation(rooms.open_room)
    get_room = Operation(rooms.get_room)
    close_room = Operation(rooms.close_room)
    get_room_stats = Operation(rooms.get_room_stats)
    get_room_history = Operation(rooms.get_room_history)
    list_room_events = Operation(rooms.list_room_events)
    get_room_state = Operation(rooms.get_room_state)
    send_message = Operation(rooms.send_message)

    draft_mandate = Operation(agents.draft_mandate)
    spawn_agent = Operation(agents.spawn_agent)
    list_agents = Operation(agents.list_agents)
    list_my_agents = Operation(agents.list_my_agents)
    get_agent = Operation(agents.get_agent)
    get_agent_history = Operation(agents.get_agent_history)
    steer_agent = Operation(agents.steer_agent)
    remove_agent = Operation(agents.remove_agent)
    list_reasons = Operation(agents.list_reasons)

    spawn_swarm = Operation(swarms.spawn_swarm)
    list_swarms = Operation(swarms.list_swarms)
    get_swarm = Operation(swarms.get_swarm)
    steer_swarm = Operation(swarms.steer_swarm)
    get_swarm_analytics = Operation(swarms.get_swarm_analytics)
    export_swarm = Operation(swarms.export_swarm)

    list_my_deals = Operation(market.list_my_deals)
    list_deals = Operation(market.list_deals)
    get_deal = Operation(market.get_deal)
    get_certificate = Operation(market.get_certificate)
    list_nfts = Operation(market.list_nfts)
    get_nft = Operation(market.get_nft)
    get_nft_image = Operation(market.get_nft_image)
    verify_ownership = Operation(market.verify_ownership)

    get_chain = Operation(wallet.get_chain)
    get_approvals = Operation(wallet.get_approvals)
    permit_transaction = Operation(wallet.permit_transaction)
    get_cancellation = Operation(wallet.get_cancellation)
    fund_wallet = Operation(wallet.fund_wallet)

    get_dashboard = Operation(account.get_dashboard)
    get_portfolio = Operation(account.get_portfolio)
    list_notifications = Operation(account.list_notifications)
    read_notifications = Operation(account.read_notifications)
    list_webhooks = Operation(account.list_webhooks)
    add_webhook = Operation(account.add_webhook)
    remove_webhook = Operation(account.remove_webhook)
    test_webhook = Operation(account.test_webhook)
    get_email = Operation(account.get_email)
    set_email = Operation(account.set_email)
    confirm_email = Operation(account.confirm_email)
    export_account = Operation(account.export_account)
    erase_account = Operation(account.erase_account)

    list_runs = Operation(runs.list_runs)
    start_run = Operation(runs.start_run)
    get_run = Operation(runs.get_run)
    get_run_events = Operation(runs.get_run_events)
    fork_run = Operation(runs.fork_run)

    get_health = Operation(operations.get_health)
    get_readiness = Operation(operations.get_readiness)
    get_metrics = Operation(operations.get_metrics)
