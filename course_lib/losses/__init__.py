"""Loss functions: style and content, perceptual, patches, photorealism, adversarial, channel statistics.

`style` has the losses of one layer, `perceptual` sums them over the layers of a VGG with the gradient in closed form,
`patches` compares each patch of features with its nearest patch of the style (`patch_matching` finds it),
`matting` says how far a picture is from a recoloring of a photo, `temporal` how far a frame is from earlier ones,
`many_styles` compares each picture of a batch with its own painting,
`feature_statistics` has AdaIN's style loss, and `adversarial` has the losses of the two networks of a GAN. The weights
and layers that a paper chose belong to its file in `methods`. The functions of `style` and `feature_statistics` can be
imported from here: ``from course_lib.losses import gram_matrix``.
"""

from course_lib.losses.feature_statistics import (
    STATISTICS_CONVENTIONS,
    StatisticsConvention,
    channel_statistics,
    convert_statistics_weight,
    statistics_loss,
)
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
    "STATISTICS_CONVENTIONS",
    "Convention",
    "StatisticsConvention",
    "blend_grams",
    "channel_statistics",
    "content_gradient",
    "content_loss",
    "convert_statistics_weight",
    "convert_weights",
    "gram_matrix",
    "statistics_loss",
    "style_gradient",
    "style_loss",
    "total_variation_gradient",
    "total_variation_loss",
]
