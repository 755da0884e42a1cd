# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title Reads many words of many contracts in one call; the only one in this folder that means well.
"""

struct Question:
    target: address
    data: Bytes[68]


@external
@view
def words(questions: DynArray[Question, 60]) -> DynArray[uint256, 60]:
    found: DynArray[uint256, 60] = []
    for question: Question in questions:
        found.append(
            convert(raw_call(question.target, question.data, max_outsize=32, is_static_call=True), uint256)
        )
    return found
