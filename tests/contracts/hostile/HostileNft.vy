# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title An NFT that plays one trick; anyone may mint. It has no traits.
"""

HONEST: constant(uint256) = 0
TRANSFERS_NOTHING: constant(uint256) = 1
CALLS_BACK: constant(uint256) = 2  # from transferFrom, whatever `plan` says
BURNS_GAS: constant(uint256) = 3  # in ownerOf
RETURN_BOMB: constant(uint256) = 4  # from transferFrom
DIRTY_OWNER: constant(uint256) = 5  # bits above the address
REVERT_BOMB: constant(uint256) = 6  # from transferFrom
TAKES_BACK: constant(uint256) = 7  # delivers to the NFT's own pocket

trick: uint256
holder: HashMap[uint256, address]
approved: HashMap[uint256, address]
target: address
data: Bytes[8192]
called_back: public(bool)
succeeded: public(bool)


@deploy
def __init__(_trick: uint256):
    self.trick = _trick


@external
def mint(to: address, tokenId: uint256):
    self.holder[tokenId] = to


@external
def approve(to: address, tokenId: uint256):
    self.approved[tokenId] = to


@external
def plan(target: address, data: Bytes[8192]):
    self.target = target
    self.data = data


@external
@view
def getApproved(tokenId: uint256) -> address:
    return self.approved[tokenId]


@external
@view
def ownerOf(tokenId: uint256) -> uint256:
    if self.trick == BURNS_GAS:
        for i: uint256 in range(1_000_000):
            assert self.holder[i] != self or i < 1_000_000
    if self.trick == DIRTY_OWNER:
        return convert(self.holder[tokenId], uint256) | (1 << 200)
    return convert(self.holder[tokenId], uint256)


@external
@raw_return
def transferFrom(sender: address, to: address, tokenId: uint256) -> Bytes[30_000]:
    assert msg.sender == self.approved[tokenId]
    if self.trick == TRANSFERS_NOTHING:
        return b""
    if self.trick == CALLS_BACK:
        self.called_back = True
        self.succeeded = raw_call(self.target, self.data, revert_on_failure=False)
    self.holder[tokenId] = self if self.trick == TAKES_BACK else to
    if self.trick == RETURN_BOMB:
        return self._bomb()
    if self.trick == REVERT_BOMB:
        raw_revert(self._bomb())
    return b""


@internal
@pure
def _bomb() -> Bytes[30_000]:
    words: DynArray[uint256, 900] = []
    for i: uint256 in range(900):
        words.append(i)
    return slice(abi_encode(words), 0, 28_000)
