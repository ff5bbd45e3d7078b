"""Loss functions: style and content, perceptual, adversarial.

`style` has the losses of one layer, `perceptual` sums them over the layers of a VGG with the gradient in closed form,
and `adversarial` has the losses of the two networks of a GAN. The weights and layers that a paper chose belong to its
file in `methods`. The functions of `style` can be imported from here: ``from course_lib.losses import gram_matrix``.
"""

from course_lib.losses.style import (
    CONVENTIONS,
    GATYS,
    JOHNSON,
    PREMAMAYUDU,
    SIZE_INDEPENDENT,
    Convention,
    blend_grams,
    content_gradient,
    content_loss,
    convert_weights,
    gram_matrix,
    style_gradient,
    style_loss,
    total_variation_gradient,
    total_variation_loss,
)

__all__ = [
    "CONVENTIONS",
    "GATYS",
    "JOHNSON",
    "PREMAMAYUDU",
    "SIZE_INDEPENDENT",
    "Convention",
    "blend_grams",
    "content_gradient",
    "content_loss",
    "convert_weights",
    "gram_matrix",
    "style_gradient",
    "style_loss",
    "total_variation_gradient",
    "total_variation_loss",
]
