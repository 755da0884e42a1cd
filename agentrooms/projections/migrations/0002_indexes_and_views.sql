-- A rebuild fills the tables first: building an index once is cheaper than keeping it up.
CREATE INDEX rooms_collection_status ON rooms (collection, status);
CREATE INDEX swarms_room ON swarms (room);
CREATE INDEX agents_room ON agents (room, agent);
CREATE INDEX agents_swarm ON agents (swarm) WHERE swarm IS NOT NULL;
CREATE INDEX agents_user ON agents (user_id);
CREATE INDEX deals_room ON deals (room, locked_event);
CREATE INDEX deals_locked ON deals (locked_event);
CREATE INDEX deals_buyer ON deals (buyer);
CREATE INDEX deals_seller ON deals (seller);
CREATE INDEX deals_buyer_user ON deals (buyer_user_id);
CREATE INDEX deals_seller_user ON deals (seller_user_id);
CREATE INDEX deals_buyer_swarm ON deals (buyer_swarm) WHERE buyer_swarm IS NOT NULL;
CREATE INDEX deals_seller_swarm ON deals (seller_swarm) WHERE seller_swarm IS NOT NULL;
CREATE INDEX deals_tx ON deals (tx_hash) WHERE tx_hash IS NOT NULL;
CREATE INDEX messages_agent ON messages (agent, seq);

-- Shares are whole permille, cut towards zero. Savings and earnings are measured against the floor of the
-- item's grade just before the lock, and only for completed deals that had one.
CREATE VIEW agent_performance AS
SELECT
    a.agent,
    a.room,
    a.role,
    d.deals_completed,
    d.deals_failed,
    d.best_deal_permille,
    d.savings_usdc_micros,
    d.earnings_usdc_micros,
    a.negotiation_ms AS avg_negotiation_ms,
    a.messages
FROM agents AS a
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE p.state = 'completed') AS deals_completed,
        count(*) FILTER (WHERE p.state = 'failed') AS deals_failed,
        max(p.gain * 1000 / p.floor_usdc_micros) FILTER (WHERE p.state = 'completed') AS best_deal_permille,
        CASE a.role WHEN 'buyer' THEN coalesce(sum(p.gain) FILTER (WHERE p.state = 'completed'), 0)::bigint END
            AS savings_usdc_micros,
        CASE a.role WHEN 'seller' THEN coalesce(sum(p.gain) FILTER (WHERE p.state = 'completed'), 0)::bigint END
            AS earnings_usdc_micros
    FROM (
        SELECT state, floor_usdc_micros, -price_over_floor_usdc_micros AS gain FROM deals WHERE buyer = a.agent
        UNION ALL
        SELECT state, floor_usdc_micros, price_over_floor_usdc_micros FROM deals WHERE seller = a.agent
    ) AS p
) AS d;

CREATE VIEW swarm_analytics AS
SELECT
    s.swarm,
    s.room,
    s.status,
    s.buyers + s.sellers AS total_agents,
    a.joined,
    a.present,
    a.messages,
    d.deals,
    d.deals_completed,
    d.deals_failed,
    d.deals_completed * 1000 / nullif(d.deals_completed + d.deals_failed, 0) AS success_permille,
    d.deals_completed * 1000 / nullif(least(s.buyers, s.sellers), 0) AS deal_rate_permille,
    d.avg_time_to_deal_ms,
    d.volume_usdc_micros,
    d.avg_price_usdc_micros,
    d.avg_over_floor_permille,
    d.savings_usdc_micros,
    d.earnings_usdc_micros
FROM swarms AS s
CROSS JOIN LATERAL (
    SELECT
        count(*) AS joined,
        count(*) FILTER (WHERE left_round IS NULL) AS present,
        coalesce(sum(messages), 0)::bigint AS messages
    FROM agents WHERE swarm = s.swarm
) AS a
CROSS JOIN LATERAL (
    SELECT
        count(*) AS deals,
        count(*) FILTER (WHERE state = 'completed') AS deals_completed,
        count(*) FILTER (WHERE state = 'failed') AS deals_failed,
        trunc(avg(time_to_deal_ms) FILTER (WHERE state = 'completed'))::bigint AS avg_time_to_deal_ms,
        coalesce(sum(price_usdc_micros) FILTER (WHERE state = 'completed'), 0)::bigint AS volume_usdc_micros,
        trunc(avg(price_usdc_micros) FILTER (WHERE state = 'completed'))::bigint AS avg_price_usdc_micros,
        trunc(avg(price_over_floor_usdc_micros * 1000.0 / floor_usdc_micros) FILTER (WHERE state = 'completed'))::bigint
            AS avg_over_floor_permille,
        coalesce(sum(-price_over_floor_usdc_micros) FILTER (WHERE state = 'completed' AND buyer_swarm = s.swarm), 0)::bigint
            AS savings_usdc_micros,
        coalesce(sum(price_over_floor_usdc_micros) FILTER (WHERE state = 'completed' AND seller_swarm = s.swarm), 0)::bigint
            AS earnings_usdc_micros
    FROM deals WHERE buyer_swarm = s.swarm OR seller_swarm = s.swarm
) AS d;

CREATE VIEW room_statistics AS
SELECT
    r.room,
    r.floor_usdc_micros,
    r.top_bid_usdc_micros,
    r.active_buyers + r.active_sellers AS active_agents,
    r.active_buyers,
    r.active_sellers,
    r.messages,
    r.deals,
    r.deals_completed,
    r.deals_failed,
    r.deals_completed * 1000 / nullif(r.deals_completed + r.deals_failed, 0) AS success_permille,
    r.volume_usdc_micros,
    r.last_price_usdc_micros,
    d.avg_time_to_deal_ms,
    d.avg_price_usdc_micros,
    d.min_price_usdc_micros,
    d.max_price_usdc_micros,
    d.avg_over_floor_permille
FROM rooms AS r
CROSS JOIN LATERAL (
    SELECT
        trunc(avg(time_to_deal_ms))::bigint AS avg_time_to_deal_ms,
        trunc(avg(price_usdc_micros))::bigint AS avg_price_usdc_micros,
        min(price_usdc_micros) AS min_price_usdc_micros,
        max(price_usdc_micros) AS max_price_usdc_micros,
        trunc(avg(price_over_floor_usdc_micros * 1000.0 / floor_usdc_micros))::bigint AS avg_over_floor_permille
    FROM deals WHERE room = r.room AND state = 'completed'
) AS d;
